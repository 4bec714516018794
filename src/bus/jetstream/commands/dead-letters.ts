// The dead letters, for commands: read, handed to their automation once more, put away.

import { type JetStreamManager, jetstreamManager, type StoredMsg } from "@nats-io/jetstream";
import { PoisonError } from "../../../errors.ts";
import type { BusAccess } from "../client/access.ts";
import { apiCodes } from "../client/api-codes.ts";
import { asked, orNothing } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import { DEAD_STREAM } from "../client/dead-letters.ts";
import { openRetryStream, type RetryStream } from "../client/retry-stream.ts";
import { messagesUnder } from "../client/streams.ts";
import { openWorkerEvents, type WorkerEvents } from "../client/worker-events.ts";
import { type Letter, letterOf } from "./letter.ts";

/** So many are under way at once. */
const AT_ONCE = 64;

/** Which letters are meant. */
export interface LetterFilter {
  /** An automation's, or `_source.<source>`; all where it is undefined. */
  readonly of?: string | undefined;
  readonly reason?: string | undefined;
  readonly fingerprint?: string | undefined;
  /** Stored then or later. */
  readonly since?: Date | undefined;
}

/** What became of a letter that was to be handed out once more. */
export type Replayed = { readonly letter: Letter } & ({ readonly run: string } | { readonly refused: string });

/** A connection that letters are read and settled by. */
export interface DeadLetters extends AsyncDisposable {
  /** The oldest first. */
  read(filter: LetterFilter): AsyncGenerator<Letter>;
  one(id: number): Promise<Letter | undefined>;
  /**
   * Hands letters to their automation alone, each in a run of its own that its id names; ends behind the bus' acknowledgements.
   * They stay, to be dropped then. Killed before that, a letter is handed out once more in the same run: the bus stores it once
   * within an hour, and the inbox takes it once.
   */
  handOut(letters: AsyncIterable<Letter> | Iterable<Letter>, onEnd: (end: Replayed) => void): Promise<void>;
  /** Takes them away. What is not there is fine. */
  drop(ids: readonly number[]): Promise<void>;
  readonly tell: WorkerEvents["publish"];
}

/** @throws ConfigError, TransientError */
export async function openDeadLetterCommands({
  signal,
  replicas,
  ...access
}: BusAccess & { readonly replicas: number; readonly signal: AbortSignal }): Promise<DeadLetters> {
  const connection = await connectOnce(access, signal);
  const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
  const retries = openRetryStream(connection.nc, { replicas });
  return {
    read: (filter) => readLetters(jsm, filter),
    one: (id) =>
      asked(`read the dead letter ${id}`, async () => {
        const ask = jsm.streams.getMessage(DEAD_STREAM, { seq: id });
        const message = await orNothing(orNull(ask), apiCodes.streamNotFound, apiCodes.noMessageFound);
        return message && letterOf(message);
      }),
    handOut: (letters, onEnd) =>
      inTurns(letters, signal, async (letter) => onEnd({ letter, ...(await handOutOne(jsm, retries, letter)) })),
    drop: (ids) => inTurns(ids, signal, (id) => takeAway(jsm, id)),
    tell: openWorkerEvents(connection.nc, { replicas }).publish,
    [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
  };
}

/** The client types a missing message as null. */
async function orNull(asking: Promise<StoredMsg | null>): Promise<StoredMsg | undefined> {
  return (await asking) ?? undefined;
}

async function* readLetters(jsm: JetStreamManager, filter: LetterFilter): AsyncGenerator<Letter> {
  const subject = filter.of === undefined ? "dead.>" : `dead.${filter.of}`;
  for await (const message of messagesUnder(jsm, DEAD_STREAM, subject)) {
    const letter = letterOf(message);
    if (isMeant(letter, filter)) yield letter;
  }
}

function isMeant({ reason, fingerprint, at }: Letter, filter: LetterFilter): boolean {
  if (filter.reason !== undefined && filter.reason !== reason) return false;
  if (filter.fingerprint !== undefined && !fingerprint.startsWith(filter.fingerprint)) return false;
  return filter.since === undefined || Date.parse(at) >= filter.since.getTime();
}

/** Names the run of a letter: its number, and its time, for a server that was set back gives the number to another one. */
function runOf({ id, at }: Letter): string {
  return `dead-${id}-${Date.parse(at).toString(36)}`;
}

async function handOutOne(
  jsm: JetStreamManager,
  retries: RetryStream,
  letter: Letter,
): Promise<{ readonly run: string } | { readonly refused: string }> {
  const { automation, event } = letter;
  if (automation === null || event === null) {
    return { refused: "it is a row that could not become an event: mend the row, or what refused it, and touch it" };
  }
  const data = letter.body ?? (event.dataBytes === 0 ? new Uint8Array() : await bodyOf(jsm, letter));
  if (data === undefined) return { refused: `it came without its body, and ${event.stream} no longer holds the event` };
  const run = runOf(letter);
  const { stream, sequence, subject, headers } = event;
  try {
    const message = { automation, stream, sequence, subject, headers, data, run, attempts: 0, dueAt: Date.now() };
    await asked(`hand out the dead letter ${letter.id}`, () => retries.store(message));
  } catch (error) {
    if (error instanceof PoisonError) return { refused: error.message };
    throw error;
  }
  return { run };
}

/** Of one that was too large to come along: where the event stands, if it is still that one. */
async function bodyOf(jsm: JetStreamManager, { event }: Letter): Promise<Uint8Array | undefined> {
  if (event === null) return undefined;
  const { stream, sequence, headers } = event;
  const ask = orNull(jsm.streams.getMessage(stream, { seq: sequence }));
  const found = await asked(`read the message ${sequence} of ${stream}`, () =>
    orNothing(ask, apiCodes.streamNotFound, apiCodes.noMessageFound),
  );
  return found !== undefined && found.header.get("ce-id") === headers["ce-id"] ? found.data : undefined;
}

async function takeAway(jsm: JetStreamManager, id: number): Promise<void> {
  const deletion = jsm.streams.deleteMessage(DEAD_STREAM, id, true);
  await asked(`take away the dead letter ${id}`, () =>
    orNothing(deletion, apiCodes.noMessageFound, apiCodes.streamNotFound, SEQUENCE_NOT_FOUND),
  );
}

/** A message that is to be deleted, and is gone already. */
const SEQUENCE_NOT_FOUND = 10043;

async function inTurns<T>(
  all: AsyncIterable<T> | Iterable<T>,
  signal: AbortSignal,
  work: (one: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  for await (const one of all) {
    signal.throwIfAborted();
    const begun: Promise<void> = work(one).finally(() => running.delete(begun));
    running.add(begun);
    begun.catch(() => {}); // it is awaited below
    if (running.size >= AT_ONCE) await Promise.race(running);
  }
  await Promise.all(running);
}
