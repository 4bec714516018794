// Columns that are left out or masked: their values are in no part of what leaves, whatever the log carries.

import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JsonWriter } from "../../../../../src/source/json-writer.ts";
import type { CatalogColumn } from "../../../../../src/source/postgres/client/catalog.ts";
import { parsePostgresConfig } from "../../../../../src/source/postgres/options/config.ts";
import { columnMask } from "../../../../../src/source/postgres/options/mask.ts";
import { RuleBook } from "../../../../../src/source/postgres/options/rule-book.ts";
import type { RulesOf } from "../../../../../src/source/postgres/options/table-rules.ts";
import { FrameCutter } from "../../../../../src/source/postgres/replication/cut-frame.ts";
import type { EncodedMessage } from "../../../../support/bus/encoded.ts";
import { bodyText, decodeFrames, headers } from "../../../../support/postgres/decode-frames.ts";
import { begin, commit, insert, relation, remove, update } from "../../../../support/postgres/pgoutput-frames.ts";

const SECRET = "a-key-of-the-test";
const INT4 = 23;
const JSONB = 3802;
const columns = [
  { name: "id", type: INT4, key: true },
  { name: "email", key: true },
  { name: "card" },
  { name: "note" },
  { name: "data", type: JSONB },
];
const USERS = relation(1, "users", columns, { identity: "i" });
const FULL = relation(
  1,
  "users",
  columns.map((column) => ({ ...column, key: true })),
  { identity: "f" },
);
const hmac = (text: string): string => createHmac("sha256", SECRET).update(text).digest("hex");

function rulesFrom(options: Record<string, unknown>): RulesOf {
  return parsePostgresConfig(
    { url: "postgres://db/shop", tables: [{ match: "public.users", ...options }], maskKey: SECRET },
    "sources.shop",
  ).rulesOf;
}

const HIDING = {
  columns: { exclude: ["note"] },
  mask: { email: "hash", card: { partial: 4 }, data: { constant: { a: 1 }.a } },
};
const decode = (frames: readonly Buffer[], options: Record<string, unknown> = HIDING): EncodedMessage[] =>
  decodeFrames([...frames, commit(0x200n, 0x230n)], { rulesOf: rulesFrom(options), primaryKey: ["email", "id"] });
const body = (message: EncodedMessage | undefined): unknown => JSON.parse(bodyText(message as EncodedMessage));

describe("a column", () => {
  test("is left out, hashed, cut to its last letters, or constant", () => {
    const [event] = decode([
      USERS,
      begin(0x200n),
      insert(0x100n, 1, ["1", "a@b.example", "4111222233334444", "x", '{"b":2}']),
    ]);

    expect(body(event)).toEqual({
      op: "created",
      key: { email: hmac("a@b.example"), id: 1 },
      before: null,
      after: { id: 1, email: hmac("a@b.example"), card: "***4444", data: 1 },
    });
    expect(headers(event as EncodedMessage)["ce-subject"]).toBe(`public.users/${hmac("a@b.example")},1`);
  });

  test("that is null stays null, except under a constant", () => {
    const [event] = decode([USERS, begin(0x200n), insert(0x100n, 1, ["1", "e", null, null, null])]);

    expect(body(event)).toMatchObject({ after: { card: null, data: 1 } });
  });

  test("too short to show a part of it shows nothing", () => {
    const cards = ["", "444", "1234567", "12345678", "grüße von"].map((card) => {
      const [event] = decode([USERS, begin(0x200n), insert(0x100n, 1, ["1", "e", card, null, null])]);
      return (body(event) as { after: { card: string } }).after.card;
    });

    expect(cards).toEqual(["***", "***", "***", "***5678", "*** von"]);
  });

  test("of any length shows its last letters, and only these are read", () => {
    const ends = ["aé😀z", "😀".repeat(9), "é".repeat(40), "日".repeat(11)].map((end) => {
      const wide = Buffer.alloc(600 * 1024 * 1024); // more than one string can hold
      wide.write(end, wide.length - Buffer.byteLength(end));
      const writer = new JsonWriter();
      writer.reserve(100);
      columnMask({ partial: 3 }, undefined).write(writer, wide, 5, wide.length);
      return JSON.parse(Buffer.from(writer.view(0)).toString());
    });

    expect(ends).toEqual(["***é😀z", "***😀😀😀", "***ééé", "***日日日"]);
  });

  test("that is not in a list of columns is not delivered", () => {
    const [event] = decode([USERS, begin(0x200n), insert(0x100n, 1, ["1", "e", "c", "n", "{}"])], {
      columns: ["id", "email", "card"],
    });

    expect(body(event)).toMatchObject({ after: { id: 1, email: "e", card: "c" } });
    expect(bodyText(event as EncodedMessage)).not.toMatch(/note|data/);
  });

  test("that is left out is named neither as changed nor as unchanged", () => {
    const [changed] = decode([
      FULL,
      begin(0x200n),
      update(0x100n, 1, ["1", "e", "c2", "n2", "{}"], { kind: "O", values: ["1", "e", "c1", "n1", "{}"] }),
    ]);
    const [unchanged] = decode([USERS, begin(0x200n), update(0x100n, 1, ["1", "e", undefined, undefined, "{}"])]);

    expect(body(changed)).toMatchObject({ changed: ["card"] });
    expect(body(unchanged)).toMatchObject({ unchanged: ["card"] });
  });
});

describe("a key", () => {
  test.each([
    ["left out", { columns: { exclude: ["email"] } }],
    ["left out by a list", { columns: ["id", "card"] }],
    ["masked by a constant", { mask: { email: { constant: "x" } } }],
    ["masked in part", { mask: { email: { partial: 3 } } }],
  ])("%s stops the source", (_, options) => {
    expect(() => decode([USERS], options)).toThrow(expect.objectContaining({ code: "TABLE_KEY_HIDDEN" }));
  });

  test("that is hashed and changes is told by its hashes", () => {
    const messages = decode([
      USERS,
      begin(0x200n),
      update(0x100n, 1, ["1", "new", null, null, null], { kind: "K", values: ["1", "old", null, null, null] }),
    ]);

    expect(messages.map(body)).toMatchObject([
      { op: "deleted", key: { email: hmac("old") }, movedTo: { email: hmac("new"), id: 1 } },
      { op: "created", key: { email: hmac("new") }, movedFrom: { email: hmac("old"), id: 1 } },
    ]);
  });
});

describe("a column that was renamed while nobody read", () => {
  const TEXT = 25;
  const relationOf = (...names: readonly string[]) => ({
    oid: 1,
    namespace: "public",
    name: "users",
    columns: names.map((name) => ({ name, type: TEXT })),
  });
  const catalogOf = (columns: Readonly<Record<string, number>>): readonly CatalogColumn[] =>
    Object.entries(columns).map(([name, attnum]) => ({ name, attnum, type: TEXT }) as CatalogColumn);
  const bound = (names: readonly string[], catalog: Readonly<Record<string, number>>, options: object) => {
    const rules = new RuleBook(rulesFrom({ ...options })).for(relationOf(...names), catalogOf(catalog));
    const of = (name: string): string => {
      const rule = rules?.column(name);
      return rule === undefined ? "shown" : rule === "left out" ? rule : rule.distinct ? "hashed" : "masked";
    };
    return { columns: names.map(of), doubtful: rules?.doubtful };
  };
  const hash = { mask: { mail: "hash" } };

  test("is told by its number, and others that were renamed are shown", () => {
    const now = { id: 1, mail: 2, remark: 3 };

    expect(bound(["id", "email", "note"], now, hash)).toEqual({ columns: ["shown", "hashed", "shown"], doubtful: [] });
    expect(bound(["id", "email", "note"], now, { columns: { exclude: ["remark"] } })).toEqual({
      columns: ["shown", "shown", "left out"],
      doubtful: [],
    });
  });

  test("hides those that may be it, as it is hidden itself, and says which", () => {
    const now = { id: 1, mail: 3, remark: 4, z: 5, last: 7 }; // 2 and 6 are gone

    expect(bound(["id", "email", "note", "z", "end"], now, hash)).toEqual({
      columns: ["shown", "hashed", "hashed", "shown", "shown"],
      doubtful: ["email", "note"],
    });
    expect(
      bound(["id", "email", "note", "z", "end"], now, { mask: { mail: "hash", remark: { constant: "" } } }),
    ).toEqual({
      columns: ["shown", "left out", "left out", "shown", "shown"],
      doubtful: ["email", "note"],
    });
  });

  test("of a table that is gone by now is hidden by its name alone", () => {
    const book = new RuleBook(rulesFrom(hash));
    book.for(relationOf("id", "mail", "note"), catalogOf({ id: 1, mail: 2, note: 3 }));
    const rules = book.for(relationOf("id", "mail", "note"), []);

    expect(["id", "note"].map((name) => rules?.column(name))).toEqual([undefined, undefined]);
    expect(rules?.column("mail")).toMatchObject({ distinct: true });
    expect(rules?.doubtful).toEqual([]);
  });
});

/** As the socket's own framing does it with rows that are too large. */
function cut(frame: Buffer): Buffer {
  const cutter = new FrameCutter();
  cutter.add(frame, 0, frame.length);
  return cutter.end();
}

test("no masked or left out value is in anything that leaves, poison included", () => {
  const value = fc.stringMatching(/^[a-z"\\\n]{9,40}$/).map((text) => `hidden${text}`);
  fc.assert(
    fc.property(value, value, value, value, fc.boolean(), (email, card, note, data, full) => {
      const row = ["1", email, card, note, JSON.stringify(data)];
      const old = ["2", `${email}-`, `${card}-`, `${note}-`, JSON.stringify(data)];
      const keys = (values: readonly string[]) =>
        full ? values : [values[0] ?? "", values[1] ?? "", null, null, null];
      const kind = full ? "O" : "K";
      const wrong = insert(0x140n, 1, row.slice(0, 4)); // a column is missing: poison
      const messages = decode([
        full ? FULL : USERS,
        begin(0x200n),
        insert(0x100n, 1, row),
        update(0x110n, 1, row, { kind, values: keys(row) }),
        update(0x120n, 1, row, { kind, values: keys(old) }),
        remove(0x130n, 1, kind, keys(row)),
        wrong,
        cut(insert(0x150n, 1, row)),
      ]);
      const poison = messages.filter((message) => message.type === "poison");

      expect(messages).toHaveLength(7);
      expect(poison).toMatchObject([{ sizeBytes: wrong.length - 25, sha256: undefined }, { sha256: undefined }]);
      for (const message of messages) {
        const text = JSON.stringify(message, (_, part) =>
          part instanceof Uint8Array ? Buffer.from(part).toString("latin1") : part,
        );
        expect(text).not.toContain("hidden");
      }
    }),
    { numRuns: 100 },
  );
});
