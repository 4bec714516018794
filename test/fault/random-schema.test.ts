// Random tables of random types, random rows and random DDL, under a worker that is killed: the stream is what another
// decoder says was committed, value for value, and each change points to the version of its table that it was written under.
// `SCHEMA_TRANSACTIONS` sets how many there are, `SEED` repeats a run.

import { isDeepStrictEqual } from "node:util";
import type { Client } from "pg";
import { describe, expect, test } from "vitest";
import { Random } from "../support/bus/scripted-bus.ts";
import { countChanges, readStream } from "../support/bus/stream-events.ts";
import { followVersions } from "../support/check/follow-versions.ts";
import { assertGuarantees } from "../support/check/guarantees.ts";
import type { TruthRow } from "../support/check/test-decoding.ts";
import { createTruthSlot, type TruthChange } from "../support/check/truth.ts";
import { RULE_FUNCTIONS } from "../support/check/type-rules.ts";
import { seedOf } from "../support/fault-ground.ts";
import { RandomTables, SCHEMAS } from "../support/postgres/random-tables.ts";
import { CORPUS, CORPUS_TYPES } from "../support/postgres/type-corpus.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { freshDatabase, freshNats, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const TRANSACTIONS = Number(process.env.SCHEMA_TRANSACTIONS ?? 250);
const KILLS = 3;
const PUBLICATION = "millrace_shop";

/** What each value must be as JSON, by Postgres' own functions. */
class Expectations {
  readonly #client: Client;
  readonly #rules = new Map<string, (value: string) => string>();
  readonly #known = new Map<string, unknown>();

  private constructor(client: Client) {
    this.#client = client;
  }

  static async create(client: Client): Promise<Expectations> {
    const expectations = new Expectations(client);
    await client.query("set intervalstyle = 'iso_8601'; set timezone = 'UTC'; set bytea_output = 'hex'");
    for (const { type, rule } of CORPUS) {
      const { rows } = await client.query<{ name: string }>(`select pg_typeof(null::${type})::text as name`);
      expectations.#rules.set(rows[0]?.name ?? "", rule);
    }
    return expectations;
  }

  async of(type: string, text: string): Promise<unknown> {
    const name = JSON.stringify([type, text]);
    if (!this.#known.has(name)) {
      const rule = this.#rules.get(type);
      if (rule === undefined) throw new Error(`no rule for ${type}`);
      const value = `(${literal(text)}::${unbounded[type] ?? type})`;
      const { rows } = await this.#client.query<{ json: string }>(`select (${rule(value)})::text as json`);
      this.#known.set(name, JSON.parse(rows[0]?.json ?? "null"));
    }
    return this.#known.get(name);
  }
}

/** By themselves these two names mean a length of one. */
const unbounded: Readonly<Record<string, string>> = { bit: "varbit", character: "bpchar" };

const literal = (text: string): string => `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

async function wrongValues(
  row: TruthRow,
  image: Readonly<Record<string, unknown>>,
  expected: Expectations,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const [column, text] of row.values) {
    if (text === undefined) continue;
    const type = row.types.get(column) ?? "";
    const value = text === null ? null : await expected.of(type, text);
    if (!isDeepStrictEqual(image[column], value))
      wrong.push(`${column} ${type}: ${JSON.stringify(image[column])} for ${text}`);
  }
  return wrong;
}

describe.skipIf(missing("postgres", "nats"))("random tables that change at random", () => {
  test("are in the stream as another decoder tells of them", async () => {
    const random = new Random(seedOf("random schema"));
    const nats = await freshNats();
    await using database = await freshDatabase();
    await database.query(`${CORPUS_TYPES}; ${RULE_FUNCTIONS}; create schema "${SCHEMAS[1]}";
      create table first(id int primary key); create table "${SCHEMAS[1]}".first(id int primary key)`);
    // Every table's key is its id, under whatever name the table went.
    const truth = await createTruthSlot(database.url, "truth", { get: () => ["id"] });
    const configuration = {
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, tables: ["public.*", `${SCHEMAS[1]}.*`] } },
    };
    let worker = await WorkerProcess.start(configuration);
    await worker.logged("source_started");

    const tables = new RandomTables(random);
    const client = await database.connect();
    const kills = Array.from({ length: KILLS }, () => random.below(TRANSACTIONS));
    for (let nth = 0; nth < TRANSACTIONS; nth++) {
      await tables.transaction(client, PUBLICATION);
      if (!kills.includes(nth)) continue;
      await worker.kill();
      worker = await worker.again();
    }
    const committed: readonly TruthChange[] = await truth.read();
    await waitFor(async () => (await countChanges(nats.url, "CDC_SHOP")) >= committed.length, {
      what: `the stream to hold ${committed.length} changes`,
      timeoutMs: 120_000,
    });
    expect(await worker.stop()).toBe(0);

    await assertGuarantees({ truth: committed, natsUrl: nats.url, source: "shop" });
    const messages = await readStream(nats.url, "CDC_SHOP");
    const events = followVersions(messages);
    expect(events).toHaveLength(committed.length);
    const expected = await Expectations.create(client);
    const wrong: string[] = [];
    for (const [index, change] of committed.entries()) {
      const event = events[index];
      for (const image of ["before", "after"] as const) {
        const row = event?.body[image] as Record<string, unknown> | null | undefined;
        if (change[image] === undefined || row === null || row === undefined) continue; // whether it is there was looked at
        for (const what of await wrongValues(change[image], row, expected))
          wrong.push(`${event?.collection} ${image} ${what}`);
      }
    }
    await client.end();
    expect(wrong).toEqual([]);
    const announced = events.filter((event) => event.announced !== undefined).length;
    console.error(`random schema: ${committed.length} changes of ${announced} versions`);
    expect(announced).toBeGreaterThan(TRANSACTIONS / 10);
  });
});
