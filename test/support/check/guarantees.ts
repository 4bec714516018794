// What must hold after every fault: the stream is the database's own order, whole, once, and says so truly.

import { canonicalJson, laneOf } from "../../../src/event/lane.ts";
import { unescapeToken } from "../../../src/event/subject.ts";
import { readStream, type StreamEvent } from "../bus/stream-events.ts";
import { isSameValue } from "./same-value.ts";
import type { TruthChange } from "./truth.ts";
import { listWrong, type Wrong, wrongly } from "./wrong.ts";

/** A transaction up to these sizes must be stored as one batch. */
const WHOLE_MESSAGES = 900;
const WHOLE_BYTES = 3_000_000;

/** A reading of the slot, and then of the stream. */
export interface AcknowledgeSample {
  readonly confirmedFlush: bigint;
  readonly streamSequence: number;
}

export interface Guarantees {
  /** From a slot that is older than the worker's. */
  readonly truth: readonly TruthChange[];
  readonly natsUrl: string;
  readonly source: string;
  /** Taken during the run by `watchAcknowledged`. */
  readonly samples?: readonly AcknowledgeSample[];
}

/**
 * Nothing missing, commit order, nothing twice, the right values, ids that rise, true transaction marks, whole
 * transactions in one batch, positions that never fall and the `Cdc-Prev` chain; with samples also that the database
 * was never told before the stream held it.
 * @throws Error that counts what was found wrong by its kind, with examples of each
 */
export async function assertGuarantees({ truth, natsUrl, source, samples = [] }: Guarantees): Promise<void> {
  const messages = await readStream(natsUrl, `CDC_${source.toUpperCase()}`);
  const wrong = findWrong(truth, messages, samples);
  if (wrong.length === 0) return;
  const summary = `${truth.length} committed, ${messages.length} messages in the stream, ${wrong.length} things wrong`;
  throw new Error([summary, ...listWrong(wrong)].join("\n"));
}

/** Everything that is wrong with a stream. */
export function findWrong(
  truth: readonly TruthChange[],
  messages: readonly StreamEvent[],
  samples: readonly AcknowledgeSample[],
): readonly Wrong[] {
  const changes = messages.filter(({ subject }) => subject.startsWith("cdc.")).map(parse);
  return [
    ...sameChanges(truth, changes),
    ...risingIds(changes),
    ...wholeTransactions(changes),
    ...chained(messages),
    ...neverTooEarly(truth, changes, samples),
  ];
}

interface Change {
  readonly event: StreamEvent;
  readonly namespace: string;
  readonly collection: string;
  readonly op: string;
  readonly lane: string;
  readonly transaction: string | undefined;
  readonly body: Readonly<Record<string, unknown>>;
}

function parse(event: StreamEvent): Change {
  const [, , namespace = "", collection = "", op = "", lane = ""] = event.subject.split(".");
  return {
    event,
    namespace: unescapeToken(namespace),
    collection: unescapeToken(collection),
    op,
    lane,
    transaction: event.header("Cdc-Tx"),
    body: JSON.parse(event.text) as Record<string, unknown>,
  };
}

/** Both lists with the same change at the same place; where they part, what is missing and what is too much. */
function sameChanges(truth: readonly TruthChange[], changes: readonly Change[]): Wrong[] {
  const wrong: Wrong[] = [];
  const wanted = named(truth.map((change) => nameOf(change, keyText(change.key))));
  const got = named(changes.map((change) => nameOf(change, keyText(change.body.key))));
  const places = new Map(wanted.map((name, place) => [name, place]));
  const there = new Set(got);
  wrong.push(...wanted.filter((name) => !there.has(name)).map((name) => wrongly("lost", name)));
  let newest = -1;
  got.forEach((name, index) => {
    const change = changes[index];
    const place = places.get(name);
    const expected = place === undefined ? undefined : truth[place];
    if (change === undefined || place === undefined || expected === undefined) {
      const known = places.has(name.replace(/ #\d+$/, " #1"));
      wrong.push(
        wrongly(known ? "once too often" : "not in the database's log", `${name} at ${change?.event.sequence}`),
      );
      return;
    }
    const which = `${name} at ${change.event.sequence}`;
    if (place < newest) wrong.push(wrongly("out of order", which));
    newest = Math.max(newest, place);
    const last = truth[place + 1]?.transaction !== expected.transaction;
    wrong.push(
      ...sameChange(expected, change, last).map(({ kind, what }) =>
        wrongly(kind, [what, which].filter(Boolean).join(", ")),
      ),
    );
  });
  return wrong;
}

function sameChange(expected: TruthChange, { body, event, lane }: Change, last: boolean): Wrong[] {
  const wrong: Wrong[] = [];
  const marked = [event.header("Cdc-Tx-Last") === "1", event.header("Cdc-Pos")?.endsWith("+") === true];
  if (marked.some((mark) => mark !== last)) wrong.push(wrongly("Cdc-Tx-Last or + is wrong"));
  if (expected.moved !== undefined && body[expected.moved] === undefined) wrong.push(wrongly(`no ${expected.moved}`));
  const rightLane = expected.op === "truncated" ? "p00" : laneOf(Buffer.from(canonicalJson(body.key)));
  if (lane !== rightLane) wrong.push(wrongly("wrong lane", `${lane} should be ${rightLane}`));
  const after = body.after as Record<string, unknown> | null;
  if ((after === null) !== (expected.after === undefined)) wrong.push(wrongly("after is there or not"));
  wrong.push(...sameBefore(expected, body.before as Record<string, unknown> | null));
  const { columns: enriched = [] } = (body.enriched ?? {}) as { readonly columns?: readonly string[] };
  for (const [column, value] of expected.after?.values ?? []) {
    // What the log left out and the database was asked for may be newer than the log.
    if (value === undefined && enriched.includes(column) && after?.[column] !== undefined) continue;
    const named = (body.unchanged as readonly string[] | undefined)?.includes(column) === true;
    const same = isSameValue(after?.[column], value, expected.after?.types.get(column) ?? "");
    if (!same || named !== (value === undefined)) wrong.push(wrongly("a column differs", column));
  }
  return wrong;
}

/** Null where the log has nothing or the key alone, which a deleted row says of itself; else the whole row, nulls too. */
function sameBefore({ before, key, op }: TruthChange, found: Readonly<Record<string, unknown>> | null): Wrong[] {
  if (found === null) {
    const more = [...(before?.values.keys() ?? [])].filter((column) => key?.[column] === undefined);
    return op === "deleted" || more.length > 0 ? [wrongly("before is missing")] : [];
  }
  if (before === undefined) return [wrongly("before is there")];
  const wrong = [...before.values].filter(
    ([column, value]) => !isSameValue(found[column], value, before.types.get(column) ?? ""),
  );
  const unknown = Object.entries(found).filter(([column, value]) => !before.values.has(column) && value !== null);
  return [...wrong, ...unknown].map(([column]) => wrongly("a column differs before", column));
}

type Named = Pick<Change, "namespace" | "collection" | "op" | "transaction">;

function nameOf({ namespace, collection, op, transaction }: Named, key: string): string {
  return `${transaction} ${namespace}.${collection} ${op} ${key}`;
}

function keyText(key: unknown): string {
  const columns = Object.entries((key ?? {}) as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1));
  return columns.map(([name, value]) => `${name}=${String(value)}`).join(",");
}

/** The same name again gets a number, so that every change has a name of its own. */
function named(names: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  return names.map((name) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return `${name} #${count}`;
  });
}

function risingIds(changes: readonly Change[]): Wrong[] {
  const ids = changes.map(({ event }) => event.header("ce-id") ?? "");
  return ids.flatMap((id, index) => (id > (ids[index - 1] ?? "") ? [] : [wrongly("id missing or not rising", id)]));
}

function wholeTransactions(changes: readonly Change[]): Wrong[] {
  const groups = new Map<string | undefined, Change[]>();
  for (const change of changes) {
    const group = groups.get(change.transaction);
    if (group === undefined) groups.set(change.transaction, [change]);
    else group.push(change);
  }
  return [...groups].flatMap(([transaction, group]) => {
    const bytes = group.reduce((sum, { event }) => sum + event.text.length + 700, 0);
    if (group.length === 1 || group.length > WHOLE_MESSAGES || bytes > WHOLE_BYTES) return [];
    const batches = new Set(group.map(({ event }) => event.header("Nats-Batch-Id")));
    const whole = batches.size === 1 && !batches.has(undefined);
    return whole ? [] : [wrongly("not in one batch", `transaction ${transaction}`)];
  });
}

function chained(messages: readonly StreamEvent[]): Wrong[] {
  const wrong: Wrong[] = [];
  let newest: string | undefined;
  for (const { sequence, header, subject } of messages) {
    const position = header("Cdc-Pos");
    if (position === undefined) {
      if (!subject.startsWith("meta.")) wrong.push(wrongly("no Cdc-Pos", `at ${sequence}`));
      continue;
    }
    const first = header("Nats-Batch-Id") === undefined || header("Nats-Batch-Sequence") === "1";
    if (newest !== undefined && position.replace("+", "") < newest.replace("+", ""))
      wrong.push(wrongly("position falls", `at ${sequence}`));
    if (first && newest !== undefined && header("Cdc-Prev") !== newest)
      wrong.push(wrongly("Cdc-Prev is wrong", `at ${sequence}`));
    newest = position;
  }
  return wrong;
}

/** Expects that the two lists are the same already: whatever else is wrong is told by `sameChanges`. */
function neverTooEarly(
  truth: readonly TruthChange[],
  changes: readonly Change[],
  samples: readonly AcknowledgeSample[],
): Wrong[] {
  return samples.flatMap(({ confirmedFlush, streamSequence }) => {
    const told = truth.findLastIndex(({ commitEnd }) => commitEnd <= confirmedFlush);
    const needed = changes[told]?.event.sequence ?? 0;
    return needed > streamSequence
      ? [wrongly("acknowledged too early", `up to ${needed} when the stream held ${streamSequence}`)]
      : [];
  });
}
