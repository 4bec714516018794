// What `millrace types` writes: the same for the same database, and true of every event.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import ts from "typescript";
import { describe, expect, expectTypeOf, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import type { JsonSchema } from "../../../src/event/collection-schema.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { changeSubjectPrefix } from "../../../src/event/subject.ts";
import { typeFiles } from "../../../src/schema/type-files.ts";
import { tableSchemas } from "../../../src/source/postgres/commands/table-schemas.ts";
import { parsePostgresConfig } from "../../../src/source/postgres/options/config.ts";
import { postgresFixture } from "../../support/postgres/fixture.ts";
import { SHOP } from "../../support/postgres/reader.ts";
import { CORPUS, CORPUS_TYPES } from "../../support/postgres/type-corpus.ts";
import { runCommand } from "../../support/process/run-command.ts";
import { missing, scratchDir } from "../../support/servers.ts";

const TABLES = `
  create type mood as enum ('happy', 'so so');
  create domain grid as text[][];
  create table orders(id bigint primary key, "the note" text, mood mood not null, tags text[], at timestamptz,
    twice bigint generated always as (id * 2) stored, grid int[][] not null, board grid);
  create schema "2nd"; create table "2nd".orders(id int primary key)`;

/** As their RFCs have them: 3339 for both. */
const FORMATS = {
  uuid: /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i,
  "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/,
  duration: /^P(?!$)(?:\d+W|(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)$/,
};

describe.skipIf(missing("postgres"))("types", () => {
  const fixture = postgresFixture("select 1");
  const files = async (options: object = {}): Promise<ReadonlyMap<string, string>> => {
    const config = parsePostgresConfig({ url: fixture.database.url, ...options }, "sources.shop");
    return typeFiles(SHOP, await tableSchemas(SHOP, config));
  };

  test("name every column as events carry it", async () => {
    await fixture.database.query(TABLES);
    const text = (await files({ tables: ["public.*", "2nd.*"] })).get("shop.ts") ?? "";
    expect(text).toContain(`export interface Orders {
  /** bigint */
  readonly id: string;
  /** text */
  readonly "the note": string | null;
  /** mood */
  readonly mood: "happy" | "so so" | (string & {});
  /** text[] */
  readonly tags: readonly (string | null)[] | null;
  /** timestamp with time zone */
  readonly at: string | "infinity" | "-infinity" | null;
  /** bigint */
  readonly twice: string | null;
  /** integer[] */
  readonly grid: Nested<number | null>;
  /** grid */
  readonly board: Nested<string | null> | null;
}`);
    expect(text).toContain(
      `  orders: collection<Orders, Pick<Orders, "id">, "the note" | "tags" | "grid" | "board">("shop", "public.orders", {
    columns: { id: "number", "the note": "text", mood: ["happy", "so so"], tags: "text", at: "text", twice: "number", grid: "number", board: "text" },
  }),`,
    );
    expect(text).toContain(
      `  "2nd.orders": collection<Table2ndOrders, Pick<Table2ndOrders, "id">>("shop", "2nd.orders", {
    columns: { id: "number" },
  }),`,
    );
    expect(ts.transpileModule(text, { reportDiagnostics: true }).diagnostics).toEqual([]);
  });

  test("of names that mean something in TypeScript compile", async () => {
    await fixture.database.query(`create schema "my.schema"; create table "my.schema"."*/ x"(id int primary key);
      create table record(id int primary key, tags jsonb); create table "a""b"(id int primary key)`);
    for (const id of ["new", "collection", "shop"] as SourceId[]) {
      const config = parsePostgresConfig({ url: fixture.database.url, tables: ["public.*", '"my.schema".*'] }, "x");
      const text = typeFiles(id, await tableSchemas(id, config)).get(`${id}.ts`) ?? "";
      const constant = id === "shop" ? "shop" : `${id}Tables`;

      expect(text).toContain(`export const ${constant} = {`);
      const name = '"my.schema".*/ x';
      expect(text).toContain(`collection<MySchemaX, Pick<MySchemaX, "id">>("${id}", ${JSON.stringify(name)}, {`);
      expect(text).toContain("export interface Record2 {");
      expect(ts.transpileModule(text, { reportDiagnostics: true }).diagnostics).toEqual([]);
      const prefix = changeSubjectPrefix(id, "my.schema", "*/ x", "created");
      expect(collection(id, name).created().filter).toBe(`${prefix}*`);
    }
  });

  test("follow the publication where it is another's: without generated columns", async () => {
    await fixture.database.query(`${TABLES}; create publication theirs for table orders`);

    expect((await files({ tables: ["public.orders"], publication: "theirs" })).get("shop.ts")).not.toContain("twice");
  });

  test("follow the options: columns left out, masked, and written otherwise", async () => {
    await fixture.database.query(TABLES);
    const tables = [
      {
        match: "public.orders",
        columns: { exclude: ["the note"] },
        mask: { mood: { constant: "-" } },
        values: { id: "number" },
      },
    ];
    const text = (await files({ tables })).get("shop.ts") ?? "";
    expect(text).not.toContain("the note");
    expect(text).toContain("readonly id: number | string;");
    expect(text).toContain('readonly mood: "-";');
  });

  test("are true of the events of every type", async () => {
    const values = CORPUS.filter(({ since }) => since === undefined);
    const columns = values.map(({ type }, nth) => `c${nth} ${type}`).join(", ");
    await fixture.database.query(`${CORPUS_TYPES}; create table every(id int primary key, ${columns})`);
    const { reading } = await fixture.begin();
    const rows = Math.max(...values.map((one) => one.values.length));
    for (let row = 0; row < rows; row++) {
      const texts = values.map((one) => one.values[row] ?? null);
      const places = texts.map((_, nth) => `$${nth + 2}`).join(", ");
      await fixture.database.query(`insert into every values ($1, ${places})`, [row, ...texts]);
    }
    await reading.rows(rows);

    const schema = JSON.parse((await files()).get("shop.schema.json") ?? "") as JsonSchema;
    const ajv = new Ajv2020({ strict: false, allErrors: true, formats: FORMATS });
    const validate = ajv.compile({ ...schema, $ref: "#/$defs/public.every" });
    for (const { after } of reading.bodies) expect([validate(after), validate.errors]).toEqual([true, null]);
    expect(validate({ ...(reading.bodies[0]?.after as object), id: "1" })).toBe(false);
    await reading.stop();
  });

  test("say what an update may lack: what is stored apart, unless the log has it all or it is asked for", async () => {
    await fixture.database.query(`create table doc(id int primary key, body text, tiny varchar(5), price numeric(12, 2), n int);
      alter table doc alter body set storage external; create table keyless(note text);
      alter table keyless replica identity full`);
    const { reading } = await fixture.begin();
    await fixture.database.query("insert into doc values (1, repeat('x', 9000), 'abc', 1.5, 1); update doc set n = 2");
    await reading.rows(2);
    const text = async (options?: object): Promise<string> => (await files(options)).get("shop.ts") ?? "";
    const told = await text();
    const schema = JSON.parse((await files()).get("shop.schema.json") ?? "") as JsonSchema;
    const ajv = new Ajv2020({ strict: false, validateFormats: false });
    const updated = reading.bodies.find(({ op }) => op === "updated");

    expect(updated).toMatchObject({ after: { id: 1, n: 2 }, unchanged: ["body"] });
    expect(ajv.compile({ ...schema, $ref: "#/$defs/public.doc" })(updated?.after)).toBe(true);
    expect(told).toContain('collection<Doc, Pick<Doc, "id">, "body">(');
    expect(told).toContain("collection<Keyless, null>(");
    expect(await text({ tables: [{ match: "public.*", toast: "reselect" }] })).toContain('<Doc, Pick<Doc, "id">>(');
    await fixture.database.query("alter table doc replica identity full");
    expect(await text()).toContain('<Doc, Pick<Doc, "id">>(');
    await reading.stop();
  });

  test("have an automation know the key and what an update may lack", () => {
    interface Doc {
      readonly id: string;
      readonly body: string | null;
    }
    const docs = collection<Doc, Pick<Doc, "id">, "body">("shop", "public.doc");
    automation("typed", { on: docs.updated() }, ({ event }) => {
      expectTypeOf(event.key).toEqualTypeOf<Pick<Doc, "id">>();
      expectTypeOf(event.after.body).toEqualTypeOf<string | null | undefined>();
      expectTypeOf(event.after.id).toBeString();
    });
    automation("whole", { on: docs.created() }, ({ event }) => {
      expectTypeOf(event.after.body).toEqualTypeOf<string | null>();
    });
    automation("any", { on: collection<Doc>("shop", "public.doc").updated() }, ({ event }) => {
      expectTypeOf(event.after).toEqualTypeOf<Doc>();
    });
  });

  test("are written by the command, which ends with 3 when they differ from the database", async () => {
    await fixture.database.query(TABLES);
    const cwd = await scratchDir();
    await mkdir(join(cwd, "src"));
    const config = { sources: { shop: { kind: "postgres", url: fixture.database.url } } };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(config));
    const types = (...args: readonly string[]) => runCommand(["types", "--out", "src/rows", ...args], { cwd });

    expect(await types("--check")).toMatchObject({ code: 3 });
    expect(await types()).toMatchObject({ code: 0 });
    expect(await types("--check")).toMatchObject({ code: 0, stdout: "" });
    await fixture.database.query("alter table orders add remark text");
    const differs = await types("--check");
    expect(differs).toMatchObject({ code: 3 });
    expect(differs.stdout).toContain("shop.ts differs from the database");
    expect(await readFile(join(cwd, "src/rows/shop.ts"), "utf8")).not.toContain("remark");
  });
});
