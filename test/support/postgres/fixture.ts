// One fresh database a test, and the Postgres sources that the test opens on it; all given back afterwards.

import { afterEach, beforeEach } from "vitest";
import type { GapData } from "../../../src/event/system-event.ts";
import { type Database, freshDatabase, freshPostgres } from "../servers.ts";
import { waitFor } from "../wait-for.ts";
import { type OpenOptions, openShop, Reading, type TestSource } from "./reader.ts";

const PUBLISHED = "select coalesce(string_agg(tablename, ' ' order by tablename), '') from pg_publication_tables";

export interface PostgresFixture {
  readonly database: Database;
  open(options?: OpenOptions): Promise<TestSource>;
  /** As after a restart: a new source with the old one's memory. */
  reopen(source: TestSource, options?: OpenOptions): Promise<TestSource>;
  /** Opens a source for the first time and waits until it reads. */
  begin(options?: OpenOptions): Promise<{ readonly source: TestSource; readonly reading: Reading }>;
  /** One value of one row. */
  value(sql: string, values?: readonly unknown[]): Promise<unknown>;
  /** Names of all tables that publications hold, in their order, with a space between. */
  published(): Promise<unknown>;
  /** @param tables as `published` tells them */
  untilPublished(tables: string): Promise<void>;
}

/** What the gap markers say that a reading has got. */
export function gaps(reading: Reading): readonly GapData[] {
  return reading.events
    .filter(({ subject }) => subject === "meta.shop.gap")
    .map(({ data }) => JSON.parse(Buffer.from(data).toString()) as GapData);
}

/**
 * Call it inside of `describe`.
 * @param setUp SQL that every test's database begins with
 * @param settings of a server of their own
 */
export function postgresFixture(setUp: string, settings?: Readonly<Record<string, string>>): PostgresFixture {
  let server: ReturnType<typeof freshPostgres> | undefined;
  let database: Database | undefined;
  const sources: TestSource[] = [];
  const current = (): Database => {
    if (database === undefined) throw new Error("no database outside of a test");
    return database;
  };
  beforeEach(async () => {
    if (settings !== undefined) server ??= freshPostgres(settings);
    database = await freshDatabase(await server);
    await database.query(setUp);
  });
  afterEach(async () => {
    for (const source of sources.splice(0)) await source[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
  });
  const open = async (options: OpenOptions = {}): Promise<TestSource> => {
    const source = await openShop(current().url, options);
    sources.push(source);
    return source;
  };
  const value = async (sql: string, values: readonly unknown[] = []): Promise<unknown> => {
    const [row] = await current().query(sql, values);
    return Object.values(row ?? {})[0];
  };
  const published = (): Promise<unknown> => value(PUBLISHED);
  return {
    get database() {
      return current();
    },
    open,
    reopen: async (source, options = {}) => {
      await source[Symbol.asyncDispose]();
      return open({ memory: source.memory, ...options });
    },
    begin: async (options = {}) => {
      const source = await open(options);
      const reading = new Reading(source);
      await reading.until(() => reading.events.length > 0, "the first marker");
      return { source, reading };
    },
    value,
    published,
    untilPublished: async (tables) => {
      await waitFor(async () => (await published()) === tables, { what: `${tables} to be published` });
    },
  };
}
