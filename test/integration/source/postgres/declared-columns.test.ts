// Columns that a handler cannot get as drizzle would give them: the start is refused by name, before any event is handled.

import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { drizzle } from "drizzle-orm/node-postgres";
import { customType, integer, pgTable, text } from "drizzle-orm/pg-core";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../../src/app.ts";
import { type Automation, automation, collection, fromDrizzle } from "../../../../src/index.ts";
import { postgresFixture } from "../../../support/postgres/fixture.ts";
import { RecordedLog } from "../../../support/postgres/recorded-log.ts";
import { runCommand } from "../../../support/process/run-command.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../../support/servers.ts";
import { TcpProxy } from "../../../support/tcp-proxy.ts";
import { waitFor } from "../../../support/wait-for.ts";

const TYPES = `
  create type addr as (street text, zip int);
  create domain home as addr;
  create type addr_span as range (subtype = addr);
  create type period as range (subtype = int4);
  create type timerange as range (subtype = time);
  create type mood as enum ('happy', 'sad')`;

const custom = (type: string, name: string) => customType<{ data: unknown }>({ dataType: () => type })(name);
const declare = (type: string) => pgTable("people", { id: integer().primaryKey(), livesAt: custom(type, "lives_at") });
const AS_TEXT = ["public.*", { match: "public.people", values: { lives_at: "text" } }];

describe.skipIf(missing("postgres", "nats"))("a column that drizzle declares", () => {
  const fixture = postgresFixture(TYPES);

  const make = (type: string) => fixture.database.query(`create table people(id int primary key, lives_at ${type})`);
  const config = (
    bus: string,
    automations: readonly Automation[],
    { url = fixture.database.url, tables = ["public.*"] as readonly unknown[] } = {},
  ) => ({ bus: { servers: bus, fsync: "always" }, sources: { shop: { kind: "postgres", url, tables } }, automations });
  const start = async (...given: Parameters<typeof config>) => {
    const worker = await startWorker(config(...given));
    onTestFinished(() => worker.stop());
    worker.finished.catch(() => {}); // its state is looked at
    return worker;
  };

  test.each(["addr", "home", "addr[]", "home[]", "addr_span", "addr_span_multirange", "period"])(
    "of the type %s refuses the start by name",
    async (type) => {
      await make(type);
      const greet = automation("greet", { on: fromDrizzle("shop", declare(type)).updated() }, () => {});
      const refused = startWorker(config("nats://127.0.0.1:1", [greet]));

      await expect(refused).rejects.toMatchObject({
        code: "AUTOMATION_COLUMN_STRUCTURED",
        message: expect.stringContaining(
          `greet: the column lives_at of public.people, declared as livesAt, has the type public.${type}:`,
        ),
        hint: expect.stringContaining('values: { "lives_at": "text" } for public.people'),
      });
    },
  );

  test.each([
    ["addr", "('Main, \"St\"', 7)"],
    ["addr[]", "array[('a b', 1)::addr, null]"],
    ["period", "'[1,5)'"],
  ])(
    "of the type %s comes as drizzle selects it, once the source writes it as text, as the hint says",
    async (type, value) => {
      await make(type);
      const { url } = await freshNats();
      const people = declare(type);
      const got: unknown[] = [];
      const greet = automation(
        "greet",
        { on: fromDrizzle("shop", people).created(), start: "earliest" },
        ({ event }) => {
          got.push(event.after);
        },
      );
      const worker = await start(url, [greet], { tables: AS_TEXT });
      await waitFor(() => worker.status().sources[0]?.state === "running", { what: "the source" });
      await fixture.database.query(`insert into people values (1, ${value})`);
      await waitFor(() => got.length > 0, { what: "the event" });

      const client = await fixture.database.connect();
      onTestFinished(() => client.end());
      expect(got).toEqual(await drizzle(client).select().from(people));
    },
  );

  test("that is left out, hidden, of the automation's `raw` or of a range or an enum refuses nothing", async () => {
    await make("addr");
    await fixture.database.query("alter table people add during timerange, add mood mood");
    const { url } = await freshNats();
    const without = pgTable("people", { id: integer(), during: custom("timerange", "during"), mood: text() });
    const worker = await start(url, [
      automation("without", { on: fromDrizzle("shop", without).created() }, () => {}),
      automation("raw", { on: fromDrizzle("shop", declare("addr"), { raw: true }).created() }, () => {}),
    ]);
    await waitFor(() => worker.status().automations.every(({ state }) => state === "running"), { what: "both" });
    await worker.stop();

    const tables = [{ match: "public.people", columns: { exclude: ["lives_at"] } }];
    const hidden = automation("hidden", { on: fromDrizzle("shop", declare("addr")).created() }, () => {});
    await start(url, [hidden], { tables });
  });

  test("is looked at before the first event where its database was away at the start, and costs none", async () => {
    await make("addr");
    const { url } = await freshNats();
    const people = fromDrizzle("shop", declare("addr"), { raw: true });
    const seen: unknown[] = [];
    const count = automation("greet", { on: people.created(), start: "earliest" }, ({ event }) => {
      seen.push(event.after);
    });
    const before = await start(url, [count]);
    await waitFor(() => before.status().sources[0]?.state === "running", { what: "the source" });
    await fixture.database.query("insert into people values (1)");
    await waitFor(() => seen.length === 1, { what: "the first event" });
    await before.stop();

    await using proxy = await TcpProxy.start(Number(new URL(fixture.database.url).port));
    await proxy.refuse();
    const late = automation(
      "late",
      { on: fromDrizzle("shop", declare("addr")).created(), start: "earliest" },
      () => {},
    );
    const worker = await start(url, [late], { url: proxy.url(fixture.database.url) });
    const state = () => worker.status().automations[0];
    await waitFor(() => state()?.state === "retrying", { what: "it to wait for the database" });
    await proxy.heal();
    await waitFor(() => state()?.state === "failed", { what: "it to be looked at" });
    expect(state()).toMatchObject({ reason: { code: "AUTOMATION_COLUMN_STRUCTURED" }, dead: 0, handled: 0 });
  });

  test("is named by `millrace check`, which fails", async () => {
    await make("addr");
    const { url } = await freshNats();
    const cwd = await scratchDir();
    const file = { bus: { servers: url }, sources: { shop: { kind: "postgres", url: fixture.database.url } } };
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ ...file, automations: "./automations/*.ts" }));
    await mkdir(join(cwd, "automations"));
    await symlink(join(process.cwd(), "node_modules"), join(cwd, "node_modules"));
    await writeFile(
      join(cwd, "automations/greet.ts"),
      `import { customType, integer, pgTable } from "drizzle-orm/pg-core";
import { automation, fromDrizzle } from "millrace";
const addr = customType({ dataType: () => "addr" });
const people = pgTable("people", { id: integer().primaryKey(), livesAt: addr("lives_at") });
export const greet = automation("greet", { on: fromDrizzle("shop", people).created() }, () => {});`,
    );
    const { code, stdout } = await runCommand(["check", "--json"], { cwd });
    const { findings } = JSON.parse(stdout) as { findings: { of: string; level: string; code: string }[] };
    expect(findings).toContainEqual(
      expect.objectContaining({ of: "automations", level: "fail", code: "AUTOMATION_COLUMN_STRUCTURED" }),
    );
    expect(code).toBe(3);
  });
});

test.skipIf(missing("postgres", "nats"))(
  "a column that a pattern names and the table lacks is a warning of the start, and holds up nothing",
  async () => {
    const [database, nats, log] = [await freshDatabase(), await freshNats(), new RecordedLog()];
    await database.query("create table orders(id int primary key, secret text)");
    const tables = [{ match: "public.orders", columns: { exclude: ["secret"] } }];
    const on = collection("shop", "public.orders").created();
    const automations = [
      automation("greet", { on, where: { after: { idd: [1] } } }, () => {}),
      automation("hidden", { on, where: { after: { secret: ["x"] } } }, () => {}),
      automation("fine", { on, where: { after: { id: [1] } } }, () => {}),
    ];
    const source = { kind: "postgres", url: database.url, tables };
    const worker = await startWorker({ bus: { servers: nats.url }, sources: { shop: source }, automations }, { log });
    onTestFinished(() => worker.stop());

    await waitFor(() => log.of("automation_column_unknown").length === 2, { what: "both warnings" });
    expect(log.of("automation_column_unknown").map(({ code, hint }) => ({ code, hint }))).toEqual([
      { code: "AUTOMATION_COLUMN_UNKNOWN", hint: "Did you mean id?" },
      { code: "AUTOMATION_COLUMN_UNKNOWN", hint: "The columns are id." },
    ]);
    await waitFor(() => worker.status().automations.every(({ state }) => state === "running"), { what: "all three" });
  },
);
