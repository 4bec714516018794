// What has no event: the clean-up at night. Before: `15 3 * * * delete_old_uploads` in the crontab of one machine, which nobody missed when it was gone.
// Now any worker does it, once each night; a night that no worker saw is made up in the morning, and one that fails is a dead letter.

import { automation, schedule } from "millrace";

const KEPT_DAYS = 90;

export const cleanUp = automation(
  "clean-up",
  {
    on: schedule("15 3 * * *", { tz: "Europe/Vienna", catchUp: "last" }),
    retry: { attempts: 3, min: "10s", max: "60s" },
  },
  async ({ event, tx }) => {
    // By the due time and not by the clock: late, or tried again, it takes out the same rows.
    const before = new Date(Date.parse(event.time) - KEPT_DAYS * 86_400_000).toISOString();
    await tx(async ({ client }) => {
      await client.query("delete from processed where processed_at < $1", [before]);
    });
  },
);
