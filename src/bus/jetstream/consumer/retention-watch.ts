// Looks for events that left the stream before an automation got them. The record of how far nothing was missed is in the
// state bucket: what left while no worker ran is found by the next one.

import { isDeepStrictEqual } from "node:util";
import type { ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import { streamName, systemId } from "../../../event/source-id.ts";
import type { StreamGap, Subscription } from "../../subscription.ts";
import { apiCodes } from "../client/api-codes.ts";
import { asked, orNothing } from "../client/bus-errors.ts";
import type { Durable } from "./durable.ts";
import { filtersOf, lifeOf } from "./durable-settings.ts";
import {
  accountFor,
  type DurableOnRecord,
  goneBefore,
  isOnRecord,
  type Look,
  missedSince,
  readRemoved,
  removedSince,
} from "./settled-watermark.ts";
import type { AccountedRecord } from "./watermark-record.ts";

export interface RetentionWatchOptions {
  readonly jsm: JetStreamManager;
  readonly stream: string;
  readonly record: AccountedRecord;
  readonly durable: Pick<Durable, "look">;
}

export class RetentionWatch implements Pick<Subscription, "missed" | "accept" | "settledThrough"> {
  readonly #options: RetentionWatchOptions;
  #settledThrough = 0;

  constructor(options: RetentionWatchOptions) {
    this.#options = options;
  }

  /** All of the durable's own up to and including this is settled, by the last look; 0 before the first one. */
  settledThrough(): number {
    return this.#settledThrough;
  }

  /**
   * What is missing since the last look; told again until it is accepted.
   * @throws TransientError while the bus is away, and when the durable has to be opened anew
   */
  async missed(): Promise<StreamGap | undefined> {
    const { record } = this.#options;
    const look = await this.#look();
    const known = await record.read();
    // A look that began before somebody put another durable on record says nothing.
    if (!isOnRecord(known?.value, look.durable)) return undefined;
    const gap = missedSince(known?.value, look);
    if (gap !== undefined) return gap;
    const next = accountFor(known?.value, look);
    const removed = removedSince(known?.value, next, look.removed);
    if (removed !== undefined) return removed;
    const accounted = { ...next, gone: goneBefore(known?.value, next, look.removed) };
    this.#settledThrough = accounted.through;
    // One that another worker was quicker with counts as well, and never goes back: the revision sees to it.
    if (!isDeepStrictEqual(accounted, known?.value)) await record.put(accounted, known);
    return undefined;
  }

  /** The gap is on record: from now on it counts as accounted for. @throws TransientError */
  accept({ last }: StreamGap): Promise<void> {
    return this.#options.record.change((known) => (known.through >= last ? undefined : { ...known, through: last }));
  }

  async #look(): Promise<Look & { readonly durable: Required<DurableOnRecord> }> {
    const { jsm, stream, durable } = this.#options;
    return asked(`look for what left ${stream} before it was handed out`, async () => {
      const { created, state } = await jsm.streams.info(stream);
      const info = await durable.look();
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
        // Of MILLRACE_EVENTS it says nothing: there the records of ids go by themselves, days before the events do.
        removed: stream === streamName(systemId) ? [] : await readRemoved(jsm, after),
        durable: { life: lifeOf(info.config), created: info.created },
      };
    });
  }

  /** The first message that waits; where it left meanwhile, where it may have stood. */
  async #next({ config, delivered }: ConsumerInfo): Promise<number> {
    const filters = filtersOf(config);
    const seq = Math.max(delivered.stream_seq + 1, config.opt_start_seq ?? 1);
    const found = await Promise.all(filters.map((filter) => this.#nextOf(filter, seq)));
    const seqs = found.filter((one) => one !== undefined);
    return seqs.length === 0 ? seq : Math.min(...seqs);
  }

  async #nextOf(filter: string, seq: number): Promise<number | undefined> {
    const { jsm, stream } = this.#options;
    const query = { seq, next_by_subj: filter }; // asks the leader: what a replica lacks would count as handed out
    return (await orNothing(jsm.streams.getMessage(stream, query), apiCodes.noMessageFound))?.seq;
  }
}
