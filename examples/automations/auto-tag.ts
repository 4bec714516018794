// Tags what starts to run: as soon as an instance is running, the tags that every instance must have are filled in where they are
// missing. No poll, and no list of what was looked at before.
//
// Needs of the database: `alter table instances replica identity full`, for `from` and `to` compare with the row before.

import { automation, collection } from "millrace";

interface Instance {
  readonly id: string;
  readonly state: "pending" | "running" | "stopped";
  readonly tags: Readonly<Record<string, string>>;
}

export const instances = collection<Instance>("ops", "public.instances");

const defaults: Readonly<Record<string, string>> = { "cost-center": "unassigned", owner: "platform" };

export const autoTag = automation(
  "auto-tag",
  { on: [instances.created(), instances.updated({ column: "state", to: "running" })] },
  async ({ event: { after, key }, tx, skip }) => {
    if (after.state !== "running") return skip("it does not run");
    const missing = Object.keys(defaults).filter((tag) => !(tag in after.tags));
    if (missing.length === 0) return skip("it has all tags");
    await tx(async ({ client, emit }) => {
      // What somebody has set by now stays: the defaults stand below it.
      await client.query("update instances set tags = $2::jsonb || tags where id = $1", [
        after.id,
        JSON.stringify(defaults),
      ]);
      await emit("instance.tagged", { key: String(key?.id), data: { missing } });
    });
  },
);
