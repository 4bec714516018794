// Holds each new configuration of a device to the rules, at the moment it is stored: the event has the text, so nothing is asked back.
//
// Needs of the database: `alter table configs replica identity full`, for `changed`.

import { automation, collection } from "millrace";

interface Config {
  readonly id: string;
  readonly device: string;
  readonly change_id: string;
  readonly text: string;
}

export const configs = collection<Config>("ops", "public.configs");

const rules: readonly { readonly name: string; readonly holds: (text: string) => boolean }[] = [
  { name: "no telnet", holds: (text) => !/^ *transport input .*telnet/m.test(text) },
  { name: "time is synchronised", holds: (text) => /^ntp server /m.test(text) },
  { name: "no default community", holds: (text) => !/^snmp-server community public\b/m.test(text) },
];

export const compliance = automation(
  "compliance",
  { on: [configs.created(), configs.changed("text")] },
  async ({ event: { after }, tx, skip }) => {
    const broken = rules.filter(({ holds }) => !holds(after.text)).map(({ name }) => name);
    if (broken.length === 0) return skip("it is compliant");
    await tx(async ({ client, emit }) => {
      for (const rule of broken) {
        await client.query("insert into findings(device, change_id, rule) values ($1, $2, $3)", [
          after.device,
          after.change_id,
          rule,
        ]);
      }
      await emit("compliance.broken", { key: after.device, data: { change: after.change_id, rules: broken } });
    });
  },
);
