// Which statements would take a transaction away from tx(), and that only those are kept from running.

import { expect, test } from "vitest";
import { controlsTransaction, guardedClient, guardedSql } from "../../../src/automation/tx/transaction-control.ts";

test.each([
  "commit",
  "  COMMIT ;",
  "begin",
  "BEGIN ISOLATION LEVEL SERIALIZABLE",
  "start\n transaction",
  "rollback",
  "rollback work",
  "abort",
  "end",
  "select 1; commit; select 2",
  "/* why */ commit",
  "-- why\ncommit",
  "prepare transaction 'one'",
  "insert into t values ('it''s; '); rollback",
])("%j begins or ends a transaction", (text) => expect(controlsTransaction(text)).toBe(true));

test.each([
  "savepoint a",
  "rollback to a",
  "ROLLBACK WORK TO SAVEPOINT a",
  "rollback transaction to a",
  "release a",
  "select 'x; commit'",
  "select E'it\\'s; commit;'",
  'select "a; commit" from t',
  "do $$ begin perform 1; end $$",
  "do $body$ begin; commit; end $body$",
  "update t set a = case when b then 1 end",
  "select 1 -- ; commit",
  "select /* ; commit; */ 1",
  "create function f() returns int begin atomic select 1; end",
  "prepare plan as select 1",
  "insert into commits values (1)",
])("%j does neither", (text) => expect(controlsTransaction(text)).toBe(false));

test("a client's other calls are its own; a callback is told as a promise would be", async () => {
  class Client {
    #calls: unknown[] = [];
    query(...args: unknown[]): Promise<unknown> {
      this.#calls.push(args);
      return Promise.resolve(this.#calls.length);
    }
  }
  let works = true;
  const client = guardedClient(new Client(), () => works);
  const refused = { code: "TX_CONTROL_REFUSED" };

  expect(client).toBeInstanceOf(Client);
  expect(await client.query({ text: "select 1" }, [])).toBe(1);
  await expect(client.query({ text: "commit" })).rejects.toMatchObject(refused);
  expect(await new Promise((resolve) => void client.query("commit", resolve))).toMatchObject(refused);
  works = false;
  expect(await client.query("commit")).toBe(2);
});

test("a transaction of postgres.js is kept from it as a template, as text and in a savepoint", async () => {
  const ran: unknown[] = [];
  const original = (strings: TemplateStringsArray) => ran.push(strings.join("?"));
  const sql = guardedSql(
    Object.assign(original, {
      unsafe: (text: string) => ran.push(text),
      savepoint: (work: (inner: typeof original) => unknown) => work(original),
    }),
  );
  const refused = expect.objectContaining({ code: "TX_CONTROL_REFUSED" });

  sql`select 1`;
  sql.unsafe("select 2");
  expect(() => sql`commit`).toThrow(refused);
  expect(() => sql.unsafe("select 1; rollback")).toThrow(refused);
  expect(() => sql.savepoint((inner) => inner`commit`)).toThrow(refused);
  expect(ran).toEqual(["select 1", "select 2"]);
});
