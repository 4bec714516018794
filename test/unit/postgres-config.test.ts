// The options of a Postgres source, and which tables its patterns name.

import { describe, expect, test } from "vitest";
import { parsePostgresConfig } from "../../src/source/postgres/config.ts";
import { includesTable } from "../../src/source/postgres/table-pattern.ts";

const url = "postgres://app:hunter2secret@db.example/shop";
const parse = (options: Record<string, unknown>) => parsePostgresConfig(options, "sources.shop");

describe("the options", () => {
  test("need only a url", () => {
    const config = parse({ url });

    expect(config.tables.map(({ text }) => text)).toEqual(["public.*"]);
    expect(config.timeoutMs).toBe(30_000);
    expect(config.slot).toBeUndefined();
  });

  test.each([
    [{ url: "mysql://db" }, "sources.shop.url: "],
    [{ url, tables: [] }, "sources.shop.tables: "],
    [{ url, tables: ["public.*", "orders"] }, "sources.shop.tables.1: "],
    [{ url, slot: "My-Slot" }, "sources.shop.slot: "],
    [{ url, publication: "" }, "sources.shop.publication: "],
    [{ url, timeout: "10ms" }, "sources.shop.timeout: "],
    [{ url, timeout: "soon" }, "sources.shop.timeout: "],
  ])("%o is refused with the path of what is wrong", (options, path) => {
    const error = thrownBy(() => parse(options));

    expect(error).toMatchObject({ code: "CONFIG_INVALID" });
    expect(error.message.startsWith(path)).toBe(true);
    expect(error.message).not.toContain("hunter2secret");
  });

  test("that do not exist are refused", () => {
    expect(() => parse({ url, slott: "x" })).toThrow(expect.objectContaining({ code: "CONFIG_UNKNOWN_KEY" }));
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

  test("take all other letters as they are", () => {
    expect(included(["public.a+b"], "public", "a+b")).toBe(true);
    expect(included(["public.a.b"], "public", "a.b")).toBe(true);
    expect(included(["public.a?b"], "public", "ab")).toBe(false);
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
