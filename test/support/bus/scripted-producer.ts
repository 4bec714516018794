// A copy as a test writes it down: numbered batches of rows, each seen at some place of the scripted log. What a stream holds
// of it at the end can be held against it.

import type { Clock } from "../../../src/clock.ts";
import { comparePositions, isComplete, type Position } from "../../../src/event/position.ts";
import {
  comparePlace,
  type PlainPositions,
  placesOf,
  plainPositions,
  positionsFrom,
  WHOLE,
} from "../../../src/event/positions.ts";
import type { CopiedRow } from "../../../src/event/source-event.ts";
import type { CopyBatch, SideProducer } from "../../../src/source/capabilities.ts";
import type { Random, Stored } from "./scripted-bus.ts";
import type { ScriptedSource } from "./scripted-source.ts";

export interface ScriptedProducerOptions {
  readonly random: Random;
  readonly clock: Clock;
  readonly log: ScriptedSource;
  /** How many batches it has; none: there is no copy. */
  readonly batches: number;
}

const MAX_ROWS = 2;

const KIND: CopiedRow["kind"] = {
  ...{ namespace: "public", collection: "t", op: "read" },
  version: {
    schema: { id: "16384", namespace: "public", collection: "t", identity: "key", key: ["id"], columns: [] },
    uri: undefined,
  },
};

/** What its rows and its progress markers say of their batch. */
interface Said {
  readonly batch: number;
  readonly notBefore: PlainPositions;
}

export class ScriptedProducer implements SideProducer {
  readonly #options: ScriptedProducerOptions;
  /** How many rows each batch has. */
  readonly #rows: readonly number[];

  constructor(options: ScriptedProducerOptions) {
    this.#options = options;
    this.#rows = Array.from({ length: options.batches }, () => options.random.below(MAX_ROWS + 1));
  }

  /** Whoever reads it again may find another place in the log. */
  async *read({ after, signal }: Parameters<SideProducer["read"]>[0]): AsyncGenerator<CopyBatch, void> {
    const { random, clock, log } = this.#options;
    const { length: batches } = this.#rows;
    for (let batch = doneBy(after) + 1; batch <= batches; batch++) {
      if (random.chance(0.7)) await clock.sleep(random.below(2000), signal);
      if (signal.aborted) return;
      const committed = Math.ceil((log.transactions.length * batch) / batches) - random.below(3);
      const notBefore = log.reachedBy(Math.max(1, committed), random.below(3));
      const said: Said = { batch, notBefore: plainPositions(notBefore) };
      yield { notBefore, rows: () => this.#rowsOf(said), progress: { ...said } };
    }
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  }

  /** Whether the stream holds its last batch. */
  isDone(messages: readonly Stored[]): boolean {
    const newest = messages.findLast(({ subject }) => isProgress(subject));
    return doneBy(newest && bodyOf(newest)) === this.#rows.length;
  }

  /**
   * What is wrong with what the stream holds of it; undefined when each batch is there once, whole, and where it may stand.
   * @param torn whether the bus may keep the first rows of a batch and lose the others: then it comes again behind a writer's marker
   */
  wrongIn(messages: readonly Stored[], torn: boolean): string | undefined {
    const newest = new Map<string, Position>();
    let floor = new Map<string, Position>();
    let rows: (Stored & { readonly seq: number })[] = [];
    let done = 0;
    for (const [index, message] of messages.entries()) {
      const { subject, headers } = message;
      const seq = index + 1;
      const partition = headers.get("Cdc-Part") ?? WHOLE;
      const position = headers.get("Cdc-Pos") as Position | undefined;
      if (subject.endsWith(".history")) floor = new Map();
      if (position !== undefined) {
        if (comparePositions(position, floor.get(partition) ?? ("" as Position)) < 0)
          return `the position falls at ${seq}`;
        floor.set(partition, position);
      }
      if (!isCopied(subject) && !isProgress(subject)) {
        if (torn && (subject.endsWith(".lost") || subject.endsWith(".writer"))) rows = [];
        if (rows.length > 0) return `${seq} stands between the rows of a batch`;
        if (subject.startsWith("cdc.")) newest.set(partition, position as Position);
        continue;
      }
      if (position === undefined || ![...newest.values(), position].every(isComplete))
        return `${seq}, of a copy, stands inside of a transaction`;
      if (isCopied(subject)) {
        rows.push({ ...message, seq });
        continue;
      }
      const said = bodyOf(message);
      const { batch, notBefore } = said;
      if (batch !== ++done) return `batch ${batch} of the copy, at ${seq}, stands where ${done} should`;
      const wanted = this.#rowsOf(said).map(({ data }) => data.toString());
      if (wanted.join() !== rows.map(({ data }) => Buffer.from(data).toString()).join())
        return `the rows of batch ${batch} of the copy, before ${seq}, are not what it has`;
      const ids = rows.map((row) => row.headers.get("Nats-Batch-Id"));
      if (!ids.every((id) => id === headers.get("Nats-Batch-Id")))
        return `batch ${batch} of the copy is no atomic batch`;
      const early = placesOf(positionsFrom(notBefore)).find((place) => {
        const last = this.#options.log.lastUpTo(place);
        return last !== undefined && comparePlace({ ...place, position: last }, newest) > 0;
      });
      if (early !== undefined) return `batch ${batch} of the copy stands before ${early.position}`;
      rows = [];
    }
    return done === this.#rows.length && rows.length === 0 ? undefined : `the copy ends behind its batch ${done}`;
  }

  #rowsOf(said: Said): (CopiedRow & { readonly data: Buffer })[] {
    return Array.from({ length: this.#rows[said.batch - 1] ?? 0 }, (_, row) => ({
      ...{ type: "copied", kind: KIND, backfill: 1, collectionId: "1", lane: "p00", key: `${said.batch}-${row}` },
      ...{ time: "2026-01-01T00:00:00.000000Z", data: Buffer.from(JSON.stringify({ ...said, row })) },
    }));
  }
}

/** Whether it is a row of a copy. */
export function isCopied(subject: string): boolean {
  return /^cdc(\.[^.]*){3}\.read(\.|$)/.test(subject);
}

function isProgress(subject: string): boolean {
  return subject.startsWith("meta.") && subject.endsWith(".backfill");
}

function bodyOf({ data }: Stored): Said & Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(data).toString()) as Said & Readonly<Record<string, unknown>>;
}

function doneBy(progress: Readonly<Record<string, unknown>> | undefined): number {
  return Number(progress?.batch ?? 0);
}
