// The options of a Postgres source, and which tables its patterns name.

import { describe, expect, test } from "vitest";
import { parsePostgresConfig } from "../../../../../src/source/postgres/options/config.ts";
import { includesTable } from "../../../../../src/source/postgres/options/table-pattern.ts";
import { NO_RULES } from "../../../../../src/source/postgres/options/table-rules.ts";

const url = "postgres://app:hunter2secret@db.example/shop";
const parse = (options: Record<string, unknown>) => parsePostgresConfig(options, "sources.shop");

describe("the options", () => {
  test("need only a url", () => {
    const config = parse({ url });

    expect(config.tables.map(({ text }) => text)).toEqual(["public.*"]);
    expect(config.timeoutMs).toBe(30_000);
    expect(config.slot).toBeUndefined();
    expect(config.full).toBeUndefined(); // a slot is never given up unasked
    expect(config.guard).toEqual({
      retainedBytes: 10_000_000_000,
      timeToFullMs: 600_000,
      lagMs: 300_000,
      catalogXminAge: 50_000_000,
    });
  });

  test.each([
    [{ url: "mysql://db" }, "sources.shop.url: "],
    [{ url, tables: [] }, "sources.shop.tables: "],
    [{ url, tables: ["!public.orders"] }, "sources.shop.tables: "],
    [{ url, tables: ["public.*", "orders"] }, "sources.shop.tables.1: "],
    [{ url, slot: "My-Slot" }, "sources.shop.slot: "],
    [{ url, slot: { onFull: "stop" } }, "sources.shop.slot"],
    [{ url, slot: { fullAtBytes: 1000 } }, "sources.shop.slot"],
    [{ url, slot: { fullAtBytes: 1000, onFull: "drop-and-gap" } }, "sources.shop.slot.onFull: "],
    [{ url, guard: { lag: "soon" } }, "sources.shop.guard.lag: "],
    [{ url, guard: { retainedBytes: -1 } }, "sources.shop.guard.retainedBytes: "],
    [{ url, publication: "" }, "sources.shop.publication: "],
    [{ url, timeout: "10ms" }, "sources.shop.timeout: "],
    [{ url, timeout: "soon" }, "sources.shop.timeout: "],
    [{ url, tables: [{ match: "orders" }] }, "sources.shop.tables.0.match: "],
    [{ url, tables: [{ match: "!public.orders" }] }, "sources.shop.tables.0.match: "],
    [{ url, tables: [{ match: "public.a", columns: [] }] }, "sources.shop.tables.0.columns: "],
    [{ url, tables: [{ match: "public.a", columns: { exclude: [] } }] }, "sources.shop.tables.0.columns.exclude: "],
    [{ url, tables: [{ match: "public.a", mask: { b: "md5" } }] }, "sources.shop.tables.0.mask.b: "],
    [{ url, tables: [{ match: "public.a", mask: { b: { partial: 0 } } }] }, "sources.shop.tables.0.mask.b.partial: "],
    [{ url, tables: [{ match: "public.a", mask: { b: "hash" } }] }, "sources.shop.maskKey: "],
    [{ url, tables: [{ match: "public.a", values: { b: "string" } }] }, "sources.shop.tables.0.values.b: "],
    [{ url, maskKey: "short" }, "sources.shop.maskKey: "],
  ])("%o is refused with the path of what is wrong", (options, path) => {
    const error = thrownBy(() => parse(options));

    expect(error).toMatchObject({ code: "CONFIG_INVALID" });
    expect(error.message.startsWith(path)).toBe(true);
    expect(error.message).not.toContain("hunter2secret");
  });

  test("a slot may be named, bounded, or both", () => {
    const bound = { fullAtBytes: 1000, onFull: "stop" };

    expect(parse({ url, slot: "mine" })).toMatchObject({ slot: "mine", full: undefined });
    expect(parse({ url, slot: { name: "mine", ...bound } })).toMatchObject({
      slot: "mine",
      full: { atBytes: 1000, action: "stop" },
    });
    const dropped = parse({ url, onGap: "continue", slot: { fullAtBytes: 1000, onFull: "drop-and-gap" } });
    expect(dropped).toMatchObject({ slot: undefined, full: { action: "drop-and-gap" } });
  });

  test("that do not exist are refused", () => {
    const unknown = expect.objectContaining({ code: "CONFIG_UNKNOWN_KEY" });
    expect(() => parse({ url, slott: "x" })).toThrow(unknown);
    expect(() => parse({ url, tables: [{ match: "public.a", masks: {} }] })).toThrow(unknown);
  });
});

describe("table patterns", () => {
  const included = (patterns: readonly string[], schema: string, table: string): boolean =>
    includesTable(parse({ url, tables: patterns }).tables, schema, table);

  test("name a table, or many with *", () => {
    expect(included(["public.orders"], "public", "orders")).toBe(true);
    expect(included(["public.orders"], "public", "orders_2024")).toBe(false);
    expect(included(["public.order*"], "public", "orders_2024")).toBe(true);
    expect(included(["*.orders"], "sales", "orders")).toBe(true);
  });

  test("leave tables out with a leading !, wherever it stands", () => {
    expect(included(["!public.sessions", "public.*"], "public", "sessions")).toBe(false);
    expect(included(["public.*", "!public.sess*"], "public", "sessions")).toBe(false);
    expect(included(["public.*", "!public.sess*"], "public", "orders")).toBe(true);
  });

  test("take names in double quotes as they are, as SQL does", () => {
    expect(included(['"my.schema".orders'], "my.schema", "orders")).toBe(true);
    expect(included(['public."a*"'], "public", "a*")).toBe(true);
    expect(included(['public."a*"'], "public", "ab")).toBe(false);
    expect(included(['"say ""hi""".*'], 'say "hi"', "x")).toBe(true);
    expect(included(["public.*", '!public."grün straße"'], "public", "grün straße")).toBe(false);
    expect(included(['"!a"."b.c"'], "!a", "b.c")).toBe(true);
  });

  test.each(['public."a', '"public.a', 'a"b.c', "public.", ".a", '"".a'])("are not %s", (text) => {
    expect(() => parse({ url, tables: [text] })).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });

  test("take all other letters as they are", () => {
    expect(included(["public.a+b"], "public", "a+b")).toBe(true);
    expect(included(["public.a.b"], "public", "a.b")).toBe(true);
    expect(included(["public.a?b"], "public", "ab")).toBe(false);
  });
});

describe("the rules of a table", () => {
  const secret = "sixteen-letters-";
  const rules = (tables: readonly unknown[], schema: string, table: string) =>
    parse({ url, tables, maskKey: secret }).rulesOf(schema, table);

  test("are none for a table that is not read, and nothing for a pattern alone", () => {
    expect(rules(["public.*", "!public.logs"], "public", "logs")).toBeUndefined();
    expect(rules(["public.*"], "public", "orders")).toBe(NO_RULES);
    expect(rules(["public.*", { match: "public.users" }], "public", "orders")).toBe(NO_RULES);
  });

  test("are those of all items that name it: none takes back what another hides", () => {
    const users = rules(
      [
        { match: "*.users", mask: { email: "hash" }, columns: { exclude: ["note"] } },
        { match: "public.*", mask: { email: { constant: "x" } }, columns: ["id", "email", "note"] },
      ],
      "public",
      "users",
    );

    expect(users?.column("id")).toBeUndefined();
    expect(users?.column("email")).toMatchObject({ distinct: true });
    expect(users?.column("note")).toBe("left out");
    expect(users?.column("other")).toBe("left out");
    expect(users).toMatchObject({ hides: true });
  });

  test("ask for what the log leaves out where one item says so", () => {
    const tables = ["public.*", { match: "public.docs", toast: "reselect" }, { match: "public.d*", toast: "omit" }];

    expect(rules(tables, "public", "docs")?.reselects).toBe(true);
    expect(rules(tables, "public", "drafts")?.reselects).toBe(false);
    expect(() => rules([{ match: "public.docs", toast: "fill" }], "public", "docs")).toThrow(/"omit" or "reselect"/);
  });

  test("write a column as the first item says", () => {
    const orders = rules(
      [
        { match: "public.orders", values: { id: "number" } },
        { match: "public.*", values: { id: "text", data: "text" } },
      ],
      "public",
      "orders",
    );

    expect(["id", "data", "other"].map((name) => orders?.format(name))).toEqual(["number", "text", undefined]);
    expect(orders).toMatchObject({ hides: false });
  });

  test("are met by rows that meet the conditions of all items", () => {
    const { rulesOf } = parse({
      url,
      tables: [
        { match: "*.users", where: "id > 1" },
        { match: "public.*", where: "id < 9" },
        { match: "a.b", where: "c" },
      ],
    });

    expect(rulesOf("public", "users")?.where).toEqual(["id > 1", "id < 9"]);
    expect(rulesOf("public", "orders")?.where).toEqual(["id < 9"]);
    expect(rulesOf("a", "b")?.where).toEqual(["c"]);
  });
});

function thrownBy(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}
