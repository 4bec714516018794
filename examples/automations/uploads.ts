// A cron job replaced. Before: `*/5 * * * * check_new_uploads`, 288 runs a day that ask what is new, with a list of what was done.
// Now each new row of `uploads` starts it: within moments, only when there is work, with retries and a dead letter.
//
// What has no event is started by the clock: clean-up.ts.

import { automation, collection } from "millrace";

interface Upload {
  readonly id: string;
  readonly bucket: string;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

export const uploads = collection<Upload>("ops", "public.uploads");

export const processUpload = automation(
  "process-upload",
  {
    on: uploads.created(),
    where: { after: { size: [{ numeric: [">", 0] }] } },
    concurrency: 5,
    retry: { attempts: 3, min: "2s", max: "8s" },
  },
  async ({ event: { after }, tx, fatal }) => {
    if (!/\.(csv|json)$/.test(after.path)) throw fatal("neither CSV nor JSON");
    await tx(async ({ client, emit }) => {
      await client.query("insert into processed(upload_id, size) values ($1, $2)", [after.id, after.size]);
      await emit("upload.processed", { key: after.id, data: { path: `${after.bucket}/${after.path}` } });
    });
  },
);
