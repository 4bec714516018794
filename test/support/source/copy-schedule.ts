// A copy under one random schedule: writers, workers that are killed between any two steps, a stream and a checkpoint that outlive
// them, people who pause and cancel. What the stream says at the end is held against the tables.

import { setImmediate as turn } from "node:timers/promises";
import type { Backfill } from "../../../src/backfill/backfill.ts";
import type { Order } from "../../../src/backfill/order.ts";
import type { owedSince } from "../../../src/backfill/owed-since.ts";
import type { Progress } from "../../../src/backfill/progress.ts";
import type { ChangesBehind, StoredChange } from "../../../src/bus/source-stream.ts";
import type { Position } from "../../../src/event/position.ts";
import { reaches } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { CopyBatch } from "../../../src/source/capabilities.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { Random } from "../bus/scripted-bus.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { COLLECTIONS, type CopiedBody, CopiedDatabase } from "./copied-database.ts";
import { CopiedRows, type StoredCopy } from "./copied-rows.ts";

const MAX_STEPS = 20_000;
const WRITES = 150;

type Step = readonly [chance: number, step: () => void];

/** The code under test; a mutant comes as others of the same names. */
export interface Copying {
  readonly Backfill: typeof Backfill;
  readonly owedSince: typeof owedSince;
}

/** What of the schedule a test chooses; all else is random. */
export interface CopySchedule {
  readonly seed: number;
  /** A marker holds a few keys only. */
  readonly small?: boolean;
  /**
   * A worker is handed out the log from the checkpoint on, whatever the stream has, and what it says is enough; nothing is cancelled,
   * unreadable or hidden. What is wrong with what is owed shows soonest so.
   */
  readonly plain?: boolean;
}

/** @returns what is wrong, undefined where nothing is */
export async function runCopy(
  { Backfill: Copy, owedSince: since }: Copying,
  { seed, small = false, plain = false }: CopySchedule,
): Promise<string | undefined> {
  const random = new Random(seed);
  const database = new CopiedDatabase(random, plain);
  const clock = new VirtualClock();
  const stream: StoredCopy[] = [];
  let order: Order = {
    ...{ backfill: 1, state: "running", by: "a test", at: "" },
    ...(random.chance(0.3) && { rate: 20 }),
  };
  /** Of the log, how far the checkpoint is. */
  let saved = 0;
  let writes = 0;
  const storedUpTo = (): number => stream.findLast((one) => one.type === "event")?.index ?? 0;
  const progress = (): Progress | undefined => stream.findLast((one) => one.type === "marker")?.body;
  let steps = 0;
  while (steps < MAX_STEPS) {
    const stopping = new AbortController();
    const copy = new Copy(
      {
        ...{ source: "shop" as SourceId, copier: database, clock, log: silentLogger },
        ...{ maxRows: 1 + random.below(9), maxBatchRows: 1 + random.below(5), maxMessageBytes: 1e6 },
        ...(small && { maxMessageBytes: 1400 }),
        ...(!plain && random.chance(0.3) && { maxNotedBytes: 1000 }),
        order: async () => order,
      },
      progress() as Readonly<Record<string, unknown>> | undefined,
      plain
        ? []
        : await since(progress() as Readonly<Record<string, unknown>> | undefined, (of) =>
            changesBehind(stream, saved, of),
          ),
    );
    // A worker goes on where the stream ends; from the checkpoint on where bodies are missing, and then writes nothing that is there.
    let handed = plain || random.chance(0.2) ? saved : storedUpTo();
    let batch: CopyBatch | undefined;
    let failed: unknown;
    let isKilled = false;
    let isStored = false;
    const batches = copy.read({ signal: stopping.signal });
    const pull = (): void => {
      batch = undefined;
      batches.next().then(
        ({ value }) => {
          batch = value ?? undefined;
        },
        (error: unknown) => {
          failed = error;
        },
      );
    };
    const handOut = (): void => {
      const chunk = database.log.slice(handed, handed + 1 + random.below(4));
      handed += chunk.length;
      database.handedOut(handed);
      if (chunk.length > 0) copy.handedOut(chunk);
    };
    const store = (): void => {
      const from = storedUpTo();
      for (const [nth, message] of database.log.slice(from, Math.min(handed, from + 1 + random.below(6))).entries())
        stream.push({
          type: "event",
          index: from + nth + 1,
          ...toldOf(message, database),
        });
    };
    const insert = (): void => {
      const at = database.log[storedUpTo() - 1]?.position ?? ("0+" as Position);
      if (!plain && handed < storedUpTo()) return;
      if (batch === undefined || !at.endsWith("+") || !reaches(new Map([["", at]]), batch.notBefore)) return;
      // Sent in vain, and again later.
      const isLost = random.chance(0.1);
      const rows = batch.rows().map((row) => ({
        ...{ type: "row" as const, body: JSON.parse(textOf(row)) as CopiedBody, of: row.kind.collection },
        id: `${row.backfill}.${row.collectionId}.${row.key}.${row.again}`,
      }));
      const marker = { type: "marker" as const, body: JSON.parse(JSON.stringify(batch.progress)), handed };
      if (isLost) return;
      stream.push(...rows, marker);
      batch = undefined;
      isStored = true;
    };
    const acknowledge = (): void => {
      if (isStored) pull();
      isStored = false;
    };
    const save = async (): Promise<void> => {
      const mark = storedUpTo();
      if (database.log[mark - 1]?.position.endsWith("+") !== true) return;
      await copy.untilOwedStored(stopping.signal);
      saved = Math.max(saved, mark);
      isKilled ||= random.chance(0.1);
    };
    const steer = (): void => {
      if (order.state !== "cancelled") order = { ...order, state: order.state === "paused" ? "running" : "paused" };
    };
    /** Another one is ordered once the stream says that it is over. */
    const cancel = (): void => {
      if (order.backfill < 4 && progress()?.backfill !== order.backfill - 1) order = { ...order, state: "cancelled" };
    };
    const kinds: readonly Step[] = [
      [2, () => void (writes++ < WRITES && database.write())],
      [5, handOut],
      [3, store],
      [4, insert],
      [4, acknowledge],
      [2, () => void save().catch(() => {})],
      [2, () => clock.advance(random.below(3000))],
      [0.1, steer],
      ...(plain ? [] : [[0.02, cancel] as const]),
    ];
    pull();
    const life = random.chance(0.2) ? MAX_STEPS : random.below(400);
    for (let step = 0; step < life && steps++ < MAX_STEPS && failed === undefined && !isKilled; step++) {
      stepOf(kinds, random)();
      if (progress()?.state === "cancelled" && progress()?.backfill === order.backfill)
        order = { ...order, backfill: order.backfill + 1, state: "running" };
      if (order.state === "paused" && (writes > WRITES || random.chance(0.05))) steer();
      if (random.chance(0.7)) await turn();
      if (progress()?.state === "completed" && storedUpTo() === database.log.length && writes > WRITES) break;
    }
    stopping.abort();
    await turn();
    if (failed !== undefined) return `the copy failed: ${String(failed)}`;
    if (progress()?.state !== "completed" || storedUpTo() < database.log.length || writes <= WRITES) continue;
    const state = new CopiedRows(stream);
    return (
      state.wrong ??
      state.differs(database) ??
      (progress()?.done === COLLECTIONS.length ? undefined : "not all are done")
    );
  }
  return `it does not end: ${JSON.stringify(progress())}`;
}

/** As the bus has them: behind the newest marker, and behind what a checkpoint has passed. @param saved of the log */
async function* changesBehind(
  stream: readonly StoredCopy[],
  saved: number,
  { collection, op }: Omit<ChangesBehind, "seq">,
): AsyncGenerator<StoredChange, void> {
  for (const one of stream.slice(stream.findLastIndex(({ type }) => type === "marker") + 1))
    if (one.type === "event" && one.index > saved && one.of === collection && one.body.op === op)
      yield { key: one.body.key, data: Buffer.from(JSON.stringify(one.body)) };
}

function stepOf(kinds: readonly Step[], random: Random): () => void {
  let at = random.next() * kinds.reduce((all, [chance]) => all + chance, 0);
  for (const [chance, step] of kinds) {
    at -= chance;
    if (at < 0) return step;
  }
  return () => {};
}

function textOf(message: object): string {
  return Buffer.from((message as { data: Uint8Array }).data).toString();
}

function toldOf(
  message: CopiedDatabase["log"][number],
  { unread }: CopiedDatabase,
): { readonly body: CopiedBody; readonly of: string; readonly isUnread: boolean } {
  const hidden = unread.get(message.position.replace("+", "") as Position);
  if (hidden !== undefined) return { body: hidden, of: (message as { collection: string }).collection, isUnread: true };
  const { kind } = message as { readonly kind: { readonly collection: string } } & typeof message;
  return { body: JSON.parse(textOf(message)) as CopiedBody, of: kind.collection, isUnread: false };
}
