// A source that dies around an announcement: whatever was noted, and wherever the stream ends, the next reading announces
// each version that the stream lacks, once, at its place, and nothing that it holds.

import { describe, expect, test } from "vitest";
import type { EncodedMessage } from "../../../support/bus/encoded.ts";
import { asStored, followVersions } from "../../../support/check/follow-versions.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { Reading, TestMemory } from "../../../support/postgres/reader.ts";
import { missing } from "../../../support/servers.ts";

const SET_UP = "create table a(id int primary key, x text); create table b(id int primary key)";
/** Two tables, five versions, in one transaction and around it. */
const CHANGES = [
  "insert into a values (1, 'x')",
  `insert into a values (2, 'x'); insert into b values (1); alter table a rename x to y; insert into b values (2);
   insert into a values (3, 'x'); alter table a add z int default 7; insert into a(id) values (4); truncate b`,
  "alter table b add x text default 'x'; insert into b values (3)",
  "insert into a(id) values (5); insert into b values (4)",
];
const EVENTS = 10;

/** What a subscriber depends on: where each message stands and what it says. */
const told = (messages: readonly EncodedMessage[]): unknown[] =>
  asStored(messages).map(({ subject, header, text }) => [subject, header("ce-id"), text]);

describe.skipIf(missing("postgres"))("a source that is read again", () => {
  const fixture = postgresFixture(SET_UP);
  const write = async (): Promise<void> => {
    for (const change of CHANGES) await fixture.database.query(change);
  };
  const whole = (reading: Reading): Promise<void> =>
    reading.until(() => reading.last?.endsWith("+") === true && reading.bodies.length >= EVENTS, "all changes");

  test("from every place goes on with the announcements that follow it, and with no other", async () => {
    const { source, reading: first } = await fixture.begin();
    await first.stop();
    await write(); // before it is read: the catalog is of now, so all readings find the same one
    const reading = new Reading(await fixture.reopen(source), first.messages.at(-1)?.position);
    await whole(reading);
    await reading.stop();
    const all = reading.messages.filter((message) => message.type === "message");
    expect(followVersions(asStored(all))).toHaveLength(EVENTS);
    expect(reading.announcements).toHaveLength(5);

    const book = JSON.stringify(await source.memory.schemas.get("shop"));
    for (const [index, { position }] of all.entries()) {
      const { value } = JSON.parse(book) as { value: unknown };
      const now = await source.memory.schemas.get("shop");
      await source.memory.schemas.put("shop", value, now?.revision ?? 0);
      const again = new Reading(await fixture.reopen(source), position);
      const rest = all.slice(index + 1);
      const count = (): number => again.events.length + again.announcements.length;
      await again.until(() => count() >= rest.length && again.messages.length > 0, "the rest");
      expect(told(again.messages)).toEqual(told(rest));
      await again.stop();
    }
  });

  test("knows the key of a table that was dropped, however far the book was ahead of the stream", async () => {
    const { source, reading } = await fixture.begin();
    await fixture.database.query("insert into a values (1, 'x')");
    await fixture.database.query("alter table a replica identity full");
    for (let id = 2; id <= 9; id++) {
      const [from, to] = id % 2 === 0 ? ["a", "renamed"] : ["renamed", "a"];
      await fixture.database.query(`alter table ${from} rename to ${to}; insert into ${to} values (${id}, 'x')`);
    }
    await reading.until(() => reading.bodies.length >= 9, "all changes");
    await reading.stop();
    await fixture.database.query("drop table a");
    const stored = reading.messages.find((message) => asStored([message]).some(({ subject }) => isChange({ subject })));

    const again = new Reading(await fixture.reopen(source), stored?.position);
    await again.until(() => again.bodies.length >= 8, "the rest");
    expect(again.bodies.map(({ key }) => key)).toEqual([2, 3, 4, 5, 6, 7, 8, 9].map((id) => ({ id })));
    await again.stop();
  });

  test("after a crash at every write of the book tells each version once", async () => {
    const { source, reading } = await fixture.begin();
    await reading.stop();
    await write();
    const { schemas } = source.memory;
    let crashes = 0;
    const messages: EncodedMessage[] = [...reading.messages];
    // Before and after each write in turn, until a reading comes through.
    for (let nth = 0; ; nth++) {
      const memory = new TestMemory(source.memory.value);
      let writes = 0;
      const failing = nth % 2 === 0 ? "before" : "after";
      Object.assign(memory, {
        schemas: {
          ...schemas,
          put: async (key: string, value: unknown, revision: number) => {
            const fails = writes++ === 1 + Math.floor(nth / 2);
            if (fails && failing === "before") throw new Error("crashed");
            const put = await schemas.put(key, value, revision);
            if (fails) throw new Error("crashed");
            return put;
          },
        },
      });
      const again = new Reading(await fixture.reopen(source, { memory }), messages.at(-1)?.position);
      const done = (): boolean => asStored([...messages, ...again.messages]).filter(isChange).length >= EVENTS;
      await again.until(done, "all changes").catch(() => {});
      await again.stop().catch(() => {});
      const isWhole = done();
      messages.push(...again.messages);
      if (isWhole) break;
      crashes++;
    }
    expect(crashes).toBeGreaterThan(3);
    expect(followVersions(asStored(messages))).toHaveLength(EVENTS);
  });
});

function isChange({ subject }: { readonly subject: string }): boolean {
  return subject.startsWith("cdc.");
}
