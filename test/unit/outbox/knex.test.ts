// emit() in a transaction of Knex, by what is asked of one: a function of a table's name that has `raw`.

import { expect, test } from "vitest";
import { outbox } from "../../../src/outbox.ts";

/** Answers as Knex 3 does on pg. */
function knex(isTransaction?: true) {
  const asked: [string, readonly string[]][] = [];
  const table = () => expect.unreachable("a statement is no table's name");
  const raw = async (text: string, bindings: readonly string[]) => {
    asked.push([text, bindings]);
    return { rows: [{ written: bindings[4] ?? "0/16B3748" }] };
  };
  return Object.assign(table, { raw, transaction: async () => {}, asked, ...(isTransaction && { isTransaction }) });
}

test("it is given the statement with its own parameters", async () => {
  const trx = knex(true);
  const id = await outbox(trx).emit("order.placed", { key: "a?", data: { is: "$1?" }, headers: { tenant: "a" } });
  await outbox(trx, { mode: "message" }).emit("order.placed", { key: 1, data: "?" });

  const [[text, bindings] = expect.unreachable(), [message, parts] = expect.unreachable()] = trx.asked;
  expect(text.match(/\?/g)).toHaveLength(5);
  expect(text).not.toContain("$");
  expect(bindings).toEqual(["order.placed", "a?", '{"is":"$1?"}', '{"tenant":"a"}', id]);
  expect([message.match(/\?/g)?.length, parts.length]).toEqual([1, 1]);
});

test("Knex itself is a pool", () => {
  expect(() => outbox(knex())).toThrow(expect.objectContaining({ code: "OUTBOX_ON_A_POOL" }));
});
