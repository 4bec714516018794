// What the tests of the source contract stand on: databases, sources that are read by hand, and workers that read them for a
// bus; all of them end with their test.

import { afterEach } from "vitest";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Connector } from "../../../src/source/connector.ts";
import type { Source, SourceContext } from "../../../src/source/source.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { lossPolicy } from "../../../src/worker/loss-policy.ts";
import type { StreamEvent } from "../../support/bus/stream-events.ts";
import { type BusGround, busGround } from "../bus-ground.ts";
import type { BusServer } from "../bus-server.ts";
import { SourceReading } from "./source-reading.ts";
import type { Row, SourceDatabase, SourceServer } from "./source-server.ts";
import { ContractWorker, type WorkerSettings } from "./source-worker.ts";

/** A source of a test: its database, and an account of what was committed there. */
export interface Shop {
  readonly id: SourceId;
  readonly database: SourceDatabase;
  /** By line: the keys of all rows in the order of their commit. */
  readonly keys: readonly string[][];
  /** Commits so many rows at once. */
  commit(line: number, rows?: number, text?: string): Promise<void>;
  /** A mixture of small and larger transactions in all lines. */
  commitSome(): Promise<void>;
  /** Keys of the account, as one more commit would make them. */
  nextKey(line: number): string;
}

export interface SourceGround extends Pick<BusGround, "clock" | "when" | "until"> {
  readonly server: SourceServer;
  shop(): Promise<Shop>;
  /** Opens its source for the first time, or with what an earlier one saved, without a worker. */
  open(shop: Shop, memory?: Memory): Promise<OpenSource>;
  worker(shop: Shop, settings?: WorkerSettings): Promise<ContractWorker>;
  /** A worker whose source runs: what is committed from now on is read. */
  begin(shop: Shop, settings?: WorkerSettings): Promise<ContractWorker>;
  stream(shop: Shop): Promise<readonly StreamEvent[]>;
  /** What the other side of the bus was told of gaps. */
  toldGaps(shop: Shop): Promise<readonly StreamEvent[]>;
  /** Waits until the stream has this many changes, or all that were committed. */
  stored(shop: Shop, count?: number): Promise<readonly StreamEvent[]>;
}

/** What a source saves. */
export interface Memory {
  value: Readonly<Record<string, unknown>> | undefined;
}

export interface OpenSource {
  readonly source: Source;
  readonly memory: Memory;
  read: (from?: Parameters<Source["read"]>[0]["from"]) => SourceReading;
  close(): Promise<void>;
}

export function contextOf(memory: Memory, adopt = false): SourceContext {
  return {
    memory: {
      load: async () => memory.value,
      save: async (value) => {
        memory.value = value;
      },
    },
    log: silentLogger,
    lineageKey: async () => "of the tests",
    ...lossPolicy(adopt, "stop"),
    count: () => {},
  };
}

/** Call it inside of `describe`. */
export function sourceGround(server: SourceServer, on: BusServer): SourceGround {
  const ground = busGround(on);
  const { when, until, clock, stored: stream } = ground;
  const open: (() => Promise<void>)[] = [];
  // Registered behind the bus' own: a worker ends before its bus does.
  afterEach(async () => {
    for (const end of open.splice(0).reverse()) await when(end());
  });
  const shop = async (): Promise<Shop> => {
    const database = await server.fresh();
    open.push(async () => database[Symbol.asyncDispose]());
    const keys: string[][] = Array.from({ length: server.lines }, () => []);
    const nextKey = (line: number): string => `${line}-${String(keys[line]?.length).padStart(5, "0")}`;
    const commit = async (line: number, count = 1, text = ""): Promise<void> => {
      const rows: Row[] = [];
      for (let nth = 0; nth < count; nth++) {
        rows.push({ key: nextKey(line), text });
        keys[line]?.push(nextKey(line));
      }
      await database.commit(line, rows);
    };
    const commitSome = async (): Promise<void> => {
      for (const count of [1, 3, 1, 2]) for (const line of keys.keys()) await commit(line, count);
    };
    return { id: ground.freshSource(), database, keys, commit, commitSome, nextKey };
  };
  const worker: SourceGround["worker"] = async ({ id, database }, settings = {}) => {
    const bus = await ground.bus();
    const made = new ContractWorker({ id, database, connector: server.connector, bus, clock, settings });
    open.push(() => made.end());
    return made;
  };
  return {
    server,
    clock,
    when,
    until,
    shop,
    open: async ({ id, database }, memory = { value: undefined }) => {
      const connector: Connector<unknown> = server.connector;
      const config = connector.parse(database.section(), `sources.${id}`);
      const opening = connector.open(id, config, contextOf(memory), { newest: async () => undefined });
      const source = await when(opening);
      const readings: SourceReading[] = [];
      const close = async (): Promise<void> => {
        for (const reading of readings) await when(reading.stop());
        await when(Promise.resolve(source[Symbol.asyncDispose]()));
      };
      open.push(close);
      return {
        source,
        memory,
        read: (from) => {
          const reading = new SourceReading(source, from);
          readings.push(reading);
          return reading;
        },
        close,
      };
    },
    worker,
    begin: async (of, settings) => {
      const made = await worker(of, settings);
      await until(() => made.tracker.status().state === "running", `the source ${of.id} to run`, 30_000);
      return made;
    },
    stream: ({ id }) => stream(id),
    toldGaps: async ({ id }) => {
      const events = await ground.read("MILLRACE_EVENTS");
      return events.filter(
        ({ subject, header }) => /^events\._system\.gap\./.test(subject) && header("ce-subject") === id,
      );
    },
    stored: ({ id, keys }, count = keys.flat().length) =>
      until(
        async () => {
          const events = await stream(id);
          return events.filter(({ subject }) => subject.startsWith("cdc.")).length >= count && events;
        },
        `${count} changes in the stream`,
        30_000,
      ),
  };
}
