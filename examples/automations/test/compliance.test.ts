import { given } from "millrace/testing";
import { expect, test } from "vitest";
import { compliance, configs } from "../compliance.ts";

const good = "ntp server 10.0.0.1\nline vty 0 4\n transport input ssh\n";
const config = configs.row({ id: "c-1", device: "core-1", change_id: "CHG-7", text: good });

test("a configuration that breaks rules has a finding for each, with the change that brought it", async () => {
  const text = "line vty 0 4\n transport input ssh telnet\nsnmp-server community public RO\n";
  const r = await given([config.updatedTo({ text, change_id: "CHG-8" })]).when(compliance);

  expect(r.statements.map(({ values }) => values)).toEqual([
    ["core-1", "CHG-8", "no telnet"],
    ["core-1", "CHG-8", "time is synchronised"],
    ["core-1", "CHG-8", "no default community"],
  ]);
  expect(r.emitted).toMatchObject([{ type: "compliance.broken", key: "core-1", data: { change: "CHG-8" } }]);
});

test("a compliant one is skipped, and one whose text did not change is not looked at", async () => {
  const r = await given([config.created(), config.updatedTo({ change_id: "CHG-9" })]).when(compliance);

  expect(r.outcomes.map(({ outcome, reason }) => reason ?? outcome)).toEqual(["it is compliant", "filtered"]);
});
