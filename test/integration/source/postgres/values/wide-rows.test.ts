// Rows that are larger than the source may hold, on a real server: cut at the socket, poison in their place, and on.

import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Poison } from "../../../../../src/source/source.ts";
import { postgresFixture } from "../../../../support/postgres/fixture.ts";
import { Reading } from "../../../../support/postgres/reader.ts";
import { missing } from "../../../../support/servers.ts";

const MAX_ROW_BYTES = 1024 * 1024;

describe.skipIf(missing("postgres"))("a row that is larger than maxRowBytes", () => {
  const shop = postgresFixture(`create table item(id int primary key, doc text);
    create table whole(id int primary key, doc text); alter table whole replica identity full;
    create table aside(id int primary key, doc text)`);
  const options = { maxRowBytes: MAX_ROW_BYTES, tables: ["public.item", "public.whole"] };

  test("is poison in its place, with its table, size, digest and beginning; the others are read", async () => {
    const { reading } = await shop.begin({ options });
    await shop.database.query(`begin; insert into item values (1, 'before');
      insert into item values (2, repeat('große', 300000)); insert into item values (3, 'behind'); commit`);
    const rows = await reading.rows(2);

    expect(rows.map(({ key }) => (key as { id: unknown }).id)).toEqual([1, 3]);
    const [first, poison, last] = reading.messages.filter(
      (message) => message.type === "poison" || (message.type === "message" && message.subject.startsWith("cdc.")),
    );
    const text = Buffer.from("große".repeat(300_000));
    const tuple = Buffer.concat([Buffer.from("N\0\x02t\0\0\0\x012t"), Buffer.alloc(4), text]);
    tuple.writeUInt32BE(text.length, tuple.length - text.length - 4);
    const { raw, sha256, ...about } = poison as Poison;
    expect(about).toMatchObject({
      type: "poison",
      namespace: "public",
      collection: "item",
      sizeBytes: 5 + tuple.length,
      error: { code: "ROW_TOO_LARGE" },
    });
    // Behind the message's kind and the table's oid, the row as the protocol has it.
    expect(Buffer.from(raw.subarray(5)).equals(tuple.subarray(0, 64 * 1024 - 5))).toBe(true);
    expect(sha256).toBe(
      createHash("sha256")
        .update(Buffer.concat([raw.subarray(0, 5), tuple]))
        .digest("hex"),
    );
    const positions = [first, poison, last].map((message) => message?.position ?? "");
    expect(positions).toEqual([...positions].sort());
    expect(first?.type === "message" && first.head).toContain(`Cdc-Tx: ${about.transaction?.id}`);
  });

  test("ends its transaction where it is the last, and stays poison at each reading", async () => {
    const { source, reading } = await shop.begin({ options });
    await shop.database.query("insert into item values (1, repeat('x', 1500000))");
    await reading.until(() => reading.messages.some(({ type }) => type === "poison"), "the poison");
    const poison = (all: Reading): Poison => all.messages.find((message) => message.type === "poison") as Poison;
    await reading.stop();

    const again = new Reading(await shop.reopen(source, { options }));
    await again.until(() => again.messages.some(({ type }) => type === "poison"), "the poison again");
    expect(poison(again)).toEqual(poison(reading));
    expect(poison(again).position).toMatch(/\+$/);
  });

  test("counts with both its images, changed or deleted; a table that is not read is skipped", async () => {
    const { reading } = await shop.begin({ options });
    await shop.database.query("insert into whole values (1, repeat('x', 600000)), (2, 'small')");
    await shop.database.query("update whole set doc = repeat('y', 600000) where id = 1");
    await shop.database.query("insert into aside values (1, repeat('z', 3000000))");
    await shop.database.query("update whole set id = 10, doc = repeat('z', 600000) where id = 1");
    await shop.database.query("delete from whole where id = 10");
    await shop.database.query("update whole set doc = 'other' where id = 2");
    await reading.until(
      () => reading.bodies.some(({ after }) => (after as { doc?: string })?.doc === "other"),
      "the end",
    );

    expect(reading.bodies.map(({ op }) => op)).toEqual(["created", "created", "deleted", "updated"]);
    expect(reading.messages.filter(({ type }) => type === "poison")).toMatchObject([
      { collection: "whole", sizeBytes: expect.any(Number) },
      { collection: "whole" },
    ]);
  });
});
