// A database that a test writes down, in one log or in partitions that are read side by side, and its connector: all that the
// contract of a source asks for. How long this file is says how small that contract is.

import { ConfigError, HistoryLostError } from "../../../src/errors.ts";
import {
  comparePlace,
  laterPositions,
  type Place,
  type PlainPositions,
  type Positions,
  placesBehind,
  placesOf,
  plainPositions,
  positionsAt,
  positionsFrom,
  reaches,
  withoutPartitions,
} from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Connector } from "../../../src/source/connector.ts";
import type { RetentionMetric } from "../../../src/source/retention.ts";
import type {
  Began,
  Ended,
  Notice,
  Source,
  SourceContext,
  SourceLag,
  SourceMessage,
} from "../../../src/source/source.ts";
import { about, findingOf } from "../../../src/telemetry/finding.ts";
import { type Kind, type ScriptedDatabase, scriptedDatabases } from "./scripted-database.ts";

interface Saved extends Readonly<Record<string, unknown>> {
  readonly name: string;
  /** Where the log begins. */
  readonly began: PlainPositions;
  /** Partitions that are over. */
  readonly over?: readonly string[];
}

interface Config {
  readonly database: ScriptedDatabase;
  readonly onGap: "stop" | "continue";
}

const CHUNK_BYTES = 64 * 1024;
const LOOK_EVERY_MS = 100;
const hint = "see the test";

const held: RetentionMetric = {
  name: "heldTransactions",
  unit: "transactions",
  help: "Transactions that the log holds for the source.",
  limit: 1000,
  hint,
  alarm: (value, limit) => `the log holds ${value} transactions for it, more than ${limit}`,
};

export const scriptedConnector: Connector<Config> = {
  kind: "scripted",
  parse: (input, path) => {
    const { database: name = "", onGap = "stop" } = input as { readonly database?: string; readonly onGap?: "stop" };
    const database = scriptedDatabases.get(name);
    if (database === undefined) throw new ConfigError("SCRIPT_UNKNOWN", `${path}.database: no such script`, { hint });
    return { database, onGap };
  },
  preflight: async (_, { database }, { memory }) => recognise(database, await memory.load()),
  recognise: async (_, { database }, saved) => recognise(database, saved),
  check: async function* (_, { database }) {
    try {
      database.connect();
      yield about("server").ok("SCRIPT_THERE", "it answers");
    } catch (error) {
      yield findingOf(error, "server");
    }
  },
  collections: async (_, { database }) => database.collections(),
  onGap: ({ onGap }) => onGap,
  watch: (_, { database }) => ({
    metrics: [held],
    full: undefined,
    look: async () => database.held(held.name),
    drop: async () => false,
    [Symbol.asyncDispose]: async () => {},
  }),
  open: async (id, { database }, context) => {
    const { name, start, dropped } = database;
    const known = (await context.memory.load()) as Saved | undefined;
    recognise(database, known);
    const saved = known ?? { name, began: plainPositions(laterPositions(start, dropped)) };
    if (known === undefined) await context.memory.save(saved);
    return new ScriptedSource(id, database, context, saved);
  },
};

/** @throws HistoryLostError when the memory is about another database; TransientError */
function recognise(database: ScriptedDatabase, saved: Readonly<Record<string, unknown>> | undefined): void {
  database.connect();
  if (saved !== undefined && saved.name !== database.name)
    throw new HistoryLostError("SCRIPT_ANOTHER", `it has read ${saved.name} until now`, { hint });
}

class ScriptedSource implements Source {
  readonly id: SourceId;
  readonly #database: ScriptedDatabase;
  readonly #context: SourceContext;
  readonly #ask: () => void;
  readonly #kinds = new Map<string | undefined, Kind>();
  #saved: Saved;
  #read: Positions = new Map();
  /** Ends that are to be handed out, and all that were. */
  #ends: readonly Ended[] = [];
  readonly #told = new Set<string>();
  #saving: Promise<void> = Promise.resolve();

  constructor(id: SourceId, database: ScriptedDatabase, context: SourceContext, saved: Saved) {
    this.id = id;
    this.#database = database;
    this.#context = context;
    this.#saved = saved;
    this.#ask = database.connect();
  }

  async *read({ from, signal, onStarted }: Parameters<Source["read"]>[0]): AsyncGenerator<readonly SourceMessage[]> {
    const { clock } = this.#database;
    const known = withoutPartitions(positionsFrom(this.#saved.began), this.#over) ?? new Map();
    const began: Positions = new Map([...known].filter(([partition]) => this.#database.isListed(partition)));
    const lost = placesBehind(withoutPartitions(this.#database.dropped, this.#over), from ?? new Map());
    if (lost !== undefined && !reaches(began, lost))
      throw new HistoryLostError("SCRIPT_DROPPED", "the log has lost what comes next", { hint });
    this.#read = laterPositions(began, from);
    onStarted?.();
    yield placesOf(began).map((place) => this.#began(place));
    while (!signal.aborted) {
      this.#ask();
      if (this.#ends.length > 0) {
        const ends = this.#ends;
        this.#ends = [];
        yield ends;
      }
      const chunk = this.#chunk();
      await this.#database.rest();
      if (chunk.length > 0) yield chunk;
      else await clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  async giveUp(): Promise<void> {
    const began = laterPositions(positionsFrom(this.#saved.began), this.#database.dropped);
    await this.#context.memory.save({ ...this.#saved, began: plainPositions(began) });
  }

  /** What has ended is in the memory before that is handed out. */
  acknowledge(positions: Positions): Promise<void> {
    this.#database.drop(positions);
    this.#saving = this.#saving.catch(() => {}).then(() => this.#end(positions));
    return this.#saving;
  }

  async #end(positions: Positions): Promise<void> {
    const ended = this.#database.endedAt(positions).filter(({ partition }) => !this.#told.has(partition));
    const over = new Set([...this.#over, ...ended.map(({ partition }) => partition)]);
    for (const { partition } of ended) this.#told.add(partition);
    if (over.size > this.#over.size) {
      const listed = [...over].filter((partition) => this.#database.partitions.includes(partition));
      const saved = { ...this.#saved, over: listed };
      await this.#context.memory.save(saved);
      this.#saved = saved;
    }
    this.#ends = [...this.#ends, ...ended.map((place): Ended => ({ type: "ended", ...place }))];
  }

  get #over(): ReadonlySet<string> {
    return new Set(this.#saved.over);
  }

  async lag(): Promise<SourceLag> {
    this.#ask();
    return this.#database.lag(this.#read, this.#over);
  }

  notices(): readonly Notice[] {
    return this.#database.notices;
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #began(place: Place): Began {
    const lost = { code: "SCRIPT_DROPPED", reason: "the log has lost it", details: {} };
    const isStart = comparePlace(place, this.#database.start) === 0;
    return { type: "began", ...place, details: {}, lost: isStart ? undefined : lost };
  }

  /** What comes next: a transaction, or a part of it, or that there is nothing. */
  #chunk(): readonly SourceMessage[] {
    const database = this.#database;
    const over = this.#over;
    const committed = database.next(this.#read, over);
    if (committed === undefined) {
      const end = database.endOf(this.#read, over);
      const idle = placesOf(placesBehind(end, this.#read) ?? new Map());
      this.#read = laterPositions(this.#read, end);
      return idle.map((place) => ({ type: "commit", ...place }));
    }
    const { partition, at, time, version, rows } = committed;
    const transaction = { id: rows.length > 1 ? `${at}` : undefined, time, lineage: undefined };
    const chunk: SourceMessage[] = [];
    for (let nth = 0, bytes = 0; nth < Math.max(1, rows.length) && bytes < CHUNK_BYTES; nth++) {
      const place = database.placeOf(committed, nth);
      if (comparePlace(place, this.#read) <= 0) continue;
      this.#read = laterPositions(this.#read, positionsAt(place));
      const row = database.send(committed, nth);
      if (row === undefined) return [{ type: "commit", ...place }];
      let kind = this.#kinds.get(partition);
      if (kind?.version.schema.columns.length !== version) {
        kind = database.describe(partition, version);
        this.#kinds.set(partition, kind);
        const before = database.place(partition, at, nth, "a");
        chunk.push({ type: "described", version: kind.version, transaction, ...before });
      }
      const { key, data, broken } = row;
      if (broken === undefined) chunk.push({ type: "change", ...place, transaction, kind, key, lane: "p00", data });
      else chunk.push({ type: "poison", ...place, transaction, ...broken });
      bytes += data.length;
    }
    return chunk;
  }
}
