import { expect, test } from "vitest";
import { jsonLine, textLine } from "../../../src/cli/command/tail.ts";
import type { StoredMessage } from "../../../src/event/parse-event.ts";

function message(body: string, headers: Readonly<Record<string, string>>): StoredMessage {
  return {
    subject: "cdc.shop.public.orders.created.p03",
    header: (name) => headers[name],
    data: Buffer.from(body),
    sequence: 12,
  };
}

const headers = {
  "ce-id": "shop.0001.r000000",
  "ce-type": "shop.public.orders.created",
  "ce-subject": "public.orders/a%20b/1%0A%1B[2J",
  "ce-time": "2026-11-22T10:00:00.123456Z",
  "Cdc-Pos": "0001+",
  "Cdc-Tx": "740",
  "Cdc-Tx-Last": "1",
};

test("a line is time, type, key and sequence, and no command to the terminal", () => {
  expect(textLine(message("{}", headers))).toBe(
    "2026-11-22T10:00:00.123456Z  shop.public.orders.created  a b/1\u{FFFD}\u{FFFD}[2J  #12",
  );
});

test("of an update the line says which columns changed, as far as the log tells", () => {
  const updated = { ...headers, "ce-type": "shop.public.orders.updated" };
  const line = (body: string): string => textLine(message(body, updated)).split("  ")[3] ?? "";

  expect(line('{"op":"updated","changed":["status","no\\u001b[2Jte"]}')).toBe("changed: status, no\u{FFFD}[2Jte");
  expect(line('{"op":"updated","changed":[]}')).toBe("changed: nothing");
  expect(line('{"op":"updated"}')).toBe("changed: ?");
  expect(line("")).toBe("changed: ?");
});

test("a message that is not ours is shown by its subject", () => {
  expect(textLine(message("hello", {}))).toBe("-  cdc.shop.public.orders.created.p03  -  #12");
  expect(JSON.parse(jsonLine(message("hello", {})))).toEqual({
    sequence: 12,
    subject: "cdc.shop.public.orders.created.p03",
    last: false,
    data: "hello",
  });
});

test("--json is one object on one line, the body's numbers untouched", () => {
  const line = jsonLine(message('{"op":"created",\n"after":{"n":12345678901234567890.10}}', headers));

  expect(line).not.toContain("\n");
  expect(line).toContain('"data":{"op":"created", "after":{"n":12345678901234567890.10}}');
  expect(JSON.parse(line)).toMatchObject({
    sequence: 12,
    subject: "cdc.shop.public.orders.created.p03",
    id: "shop.0001.r000000",
    type: "shop.public.orders.created",
    key: "public.orders/a b/1\n\u001b[2J",
    time: "2026-11-22T10:00:00.123456Z",
    position: "0001+",
    transaction: "740",
    last: true,
  });
});
