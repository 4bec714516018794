// Takes one event out of a source's stream for good, with its body and its dead letters, and puts on record that it was on
// purpose. The numbers around it stay what they are.

import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream";
import { ConfigError } from "../../../errors.ts";
import { dataRefOf } from "../../../event/data-ref.ts";
import { type SourceId, streamName } from "../../../event/source-id.ts";
import type { StateStore } from "../../state-store.ts";
import { entrySubject, removeBody } from "../bodies/large-bodies.ts";
import type { BusAccess } from "../client/access.ts";
import { apiCodes } from "../client/api-codes.ts";
import { STATE_BUCKET } from "../client/buckets.ts";
import { asked, orNothing } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import { DEAD_STREAM } from "../client/dead-letters.ts";
import { RETRY_STREAM, type WaitingRetry, waitingOf } from "../client/retry-stream.ts";
import { openStateStore } from "../client/state-store.ts";
import { findStream, messagesUnder } from "../client/streams.ts";
import { CheckpointStore } from "../lease/checkpoint-store.ts";
import { type Erased, erasedKey } from "../stream/erased.ts";
import { readMessage } from "../stream/jetstream-port.ts";
import { bodyOf } from "../stream/own-markers.ts";
import type { StoredMessage } from "../stream/port.ts";

export interface EraseOptions extends BusAccess {
  readonly source: SourceId;
  readonly sequence: number;
  /** Shown what it is before anything is changed; false leaves all as it is. */
  readonly confirm: (event: Erasable) => Promise<boolean>;
  readonly signal: AbortSignal;
}

/** What stands at the number. */
export interface Erasable {
  readonly stream: string;
  readonly sequence: number;
  readonly subject: string;
  readonly id: string;
  /** Dead letters that hold it too. */
  readonly deadLetters: number;
  /** Automations that have it in MILLRACE_RETRY, for a long retry or a replay: they never get it. */
  readonly waiting: readonly string[];
  /** Automations and other subscribers that have not settled it: they never get it, and automations are told a gap. */
  readonly unsettled: readonly string[];
}

/**
 * Resolves to whether it was erased.
 * @throws ConfigError ERASE_NOTHING, ERASE_NO_EVENT, ERASE_TOO_NEW, ERASE_DENIED; TransientError
 */
export async function eraseEvent(options: EraseOptions): Promise<boolean> {
  const { source, sequence, confirm } = options;
  await using connection = await connectOnce(options, options.signal);
  return await asked(`erase the message ${sequence} of ${streamName(source)}`, async () => {
    const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
    const state = await openStateStore(connection.nc, { bucket: STATE_BUCKET, replicas: 1 });
    const stream = streamName(source);
    const waiting: WaitingRetry[] = [];
    for await (const one of waitingOf(jsm, stream)) if (one.sequence === sequence) waiting.push(one);
    const message = await find(jsm, state, source, sequence, waiting.length > 0);
    const letters = await deadLettersOf(jsm, stream, sequence);
    const id = message?.header("ce-id") ?? waiting[0]?.id ?? "";
    const unsettled = message === undefined ? [] : await unsettledBy(jsm, stream, sequence);
    const subject = message?.subject ?? waiting[0]?.subject ?? "";
    const about = { deadLetters: letters.length, waiting: waiting.map(({ automation }) => automation), unsettled };
    if (!(await confirm({ stream, sequence, subject, id, ...about }))) return false;
    // What holds a copy goes first: killed in between, the event is still there to be erased once more.
    for (const { at } of waiting)
      await orNothing(jsm.streams.deleteMessage(RETRY_STREAM, at, true), apiCodes.noMessageFound);
    if (message !== undefined) await putOnRecord(state, source, sequence, subject);
    for (const letter of letters) await jsm.streams.deleteMessage(DEAD_STREAM, letter, true);
    if (message === undefined) return true;
    const ref = dataRefOf(message);
    if (ref !== undefined) await removeBody(jsm, entrySubject(ref.name));
    await jsm.streams.deleteMessage(stream, sequence, true);
    return true;
  });
}

/** Before it is done: an erasure that nobody knows of would be found as damage. */
async function putOnRecord(state: StateStore, source: SourceId, sequence: number, subject: string): Promise<void> {
  const entry = await state.get(erasedKey(source, sequence));
  const erased: Erased = { subject, at: new Date().toISOString() };
  await state.put(erasedKey(source, sequence), erased, entry?.revision ?? 0);
}

/** Undefined for one that the stream has dropped, though it still waits elsewhere. */
async function find(
  jsm: JetStreamManager,
  state: StateStore,
  source: SourceId,
  sequence: number,
  waits: boolean,
): Promise<StoredMessage | undefined> {
  const info = await findStream(jsm, source);
  const message = info && (await readMessage(jsm, info.config.name, { seq: sequence }));
  if (message === undefined) {
    if (waits) return undefined;
    throw new ConfigError("ERASE_NOTHING", `${streamName(source)} has no message ${sequence}`, {
      hint: "See the sequence in the dead letter, in the log with log.events, or by millrace tail; perhaps it has expired already.",
    });
  }
  if (message.subject.startsWith("meta.")) {
    throw new ConfigError("ERASE_NO_EVENT", `the message ${sequence} is the marker ${message.subject}, not an event`, {
      hint: "Markers hold no rows; the stream needs them.",
    });
  }
  if (info?.config.deny_delete === true) {
    throw new ConfigError("ERASE_DENIED", `the stream ${info.config.name} was made with deny_delete`, {
      hint: "That can never be taken back: docs/operations/erase.md says how to restore it without, or when it expires by itself.",
    });
  }
  const { checkpoint: saved } = await new CheckpointStore(state, source).load();
  if (saved === undefined || saved.streamSeq < sequence) {
    throw new ConfigError("ERASE_TOO_NEW", `no checkpoint of ${source} stands behind the message ${sequence} yet`, {
      hint: "Wait until the worker has saved one: a source that starts again before would publish the event once more.",
    });
  }
  return message;
}

async function unsettledBy(jsm: JetStreamManager, stream: string, sequence: number): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, ack_floor } of jsm.consumers.list(stream))
    if (ack_floor.stream_seq < sequence) names.push(name);
  return names;
}

async function deadLettersOf(jsm: JetStreamManager, stream: string, sequence: number): Promise<number[]> {
  const found: number[] = [];
  for await (const letter of messagesUnder(jsm, DEAD_STREAM, "dead.>")) {
    const { event } = (bodyOf(letter) ?? {}) as {
      readonly event?: { readonly stream?: unknown; readonly sequence?: unknown };
    };
    if (event?.stream === stream && event.sequence === sequence) found.push(letter.seq);
  }
  return found;
}
