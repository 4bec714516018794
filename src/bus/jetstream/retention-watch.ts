// Looks for events that left the stream before an automation got them. The record of how far nothing was missed is in the
// state bucket: what left while no worker ran is found by the next one.

import { isDeepStrictEqual } from "node:util";
import type { ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import type { StateStore, StreamGap } from "../bus.ts";
import { type Accounted, accountFor, goneBefore, type Look, missedSince, removedSince } from "./accounted.ts";
import { apiCodes } from "./api-codes.ts";
import { busError, isApiError } from "./bus-errors.ts";
import { readRemoved } from "./removed.ts";

export interface RetentionWatchOptions {
  readonly jsm: JetStreamManager;
  readonly state: StateStore;
  readonly stream: string;
  readonly durable: string;
}

/** Under which it is on record. */
export function accountedKey(durable: string, stream: string): string {
  return `accounted.${durable}.${stream}`;
}

export class RetentionWatch {
  readonly #options: RetentionWatchOptions;
  readonly #key: string;
  #settledThrough = 0;

  constructor(options: RetentionWatchOptions) {
    this.#options = options;
    this.#key = accountedKey(options.durable, options.stream);
  }

  /** All of the durable's own up to and including this is settled, by the last look; 0 before the first one. */
  get settledThrough(): number {
    return this.#settledThrough;
  }

  /**
   * What is missing since the last look; told again until it is accepted. Nothing while stream or durable are gone: that is
   * told elsewhere.
   * @throws TransientError while the bus is away
   */
  async missed(): Promise<StreamGap | undefined> {
    const look = await this.#look();
    if (look === undefined) return undefined;
    const known = await this.#read();
    const gap = missedSince(known?.value, look);
    if (gap !== undefined) return gap;
    const next = accountFor(known?.value, look);
    const removed = removedSince(known?.value, next, look.removed);
    if (removed !== undefined) return removed;
    const accounted = { ...next, gone: goneBefore(known?.value, next, look.removed) };
    const moved = !isDeepStrictEqual(accounted, known?.value);
    this.#settledThrough = accounted.through;
    // One that another worker was quicker with counts as well, and never goes back: the revision sees to it.
    if (moved) await this.#options.state.put(this.#key, accounted, known?.revision ?? 0);
    return undefined;
  }

  /** The gap is on record: from now on it counts as accounted for. @throws TransientError */
  async accept({ last }: StreamGap): Promise<void> {
    for (;;) {
      const known = await this.#read();
      if (known === undefined || known.value.through >= last) return;
      const accepted = { ...known.value, through: last };
      if ((await this.#options.state.put(this.#key, accepted, known.revision)) !== undefined) return;
    }
  }

  /**
   * A durable is about to be made: it is accounted for from its start on. In another stream than the one on record a start
   * where the durable stood says nothing: what that stream had comes again under new numbers.
   * @param firstSeq of what the stream holds
   * @throws TransientError
   */
  async begin({ created, through }: Accounted, firstSeq: number): Promise<void> {
    const known = await this.#read();
    const sameStream = known === undefined || known.value.created === created;
    const begun = { created, through: sameStream ? through : Math.max(through, firstSeq - 1) };
    await this.#options.state.put(this.#key, begun, known?.revision ?? 0);
  }

  async #look(): Promise<Look | undefined> {
    const { jsm, stream, durable } = this.#options;
    try {
      const { created, state } = await jsm.streams.info(stream);
      const info = await jsm.consumers.info(stream, durable);
      const next = info.num_pending === 0 ? undefined : await this.#next(info);
      const after = await jsm.streams.info(stream);
      return {
        created,
        firstSeq: state.first_seq,
        lastSeq: state.last_seq,
        ackFloor: info.num_ack_pending === 0 ? undefined : info.ack_floor.stream_seq,
        next,
        firstSeqAfter: after.state.first_seq,
        // Asked last: what was taken out while the durable was looked at may have been passed by it.
        removed: await readRemoved(jsm, after),
      };
    } catch (thrown) {
      if (isApiError(thrown, apiCodes.streamNotFound, apiCodes.consumerNotFound)) return undefined;
      throw busError(thrown, `look for what left ${stream} before ${durable} got it`);
    }
  }

  /** The first message that waits; where it left meanwhile, where it may have stood. */
  async #next({ config, delivered }: ConsumerInfo): Promise<number> {
    const filters = config.filter_subjects ?? (config.filter_subject ? [config.filter_subject] : [">"]);
    const seq = Math.max(delivered.stream_seq + 1, config.opt_start_seq ?? 1);
    const found = await Promise.all(filters.map((filter) => this.#nextOf(filter, seq)));
    const seqs = found.filter((one) => one !== undefined);
    return seqs.length === 0 ? seq : Math.min(...seqs);
  }

  async #nextOf(filter: string, seq: number): Promise<number | undefined> {
    const { jsm, stream } = this.#options;
    try {
      const query = { seq, next_by_subj: filter }; // asks the leader: what a replica lacks would count as handed out
      return (await jsm.streams.getMessage(stream, query))?.seq;
    } catch (thrown) {
      if (isApiError(thrown, apiCodes.noMessageFound)) return undefined;
      throw thrown;
    }
  }

  async #read(): Promise<{ readonly value: Accounted; readonly revision: number } | undefined> {
    const entry = await this.#options.state.get(this.#key);
    return entry && { value: entry.value as Accounted, revision: entry.revision };
  }
}
