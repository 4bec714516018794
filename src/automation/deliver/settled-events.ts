// Which events an automation has settled, though its durable may not know it: for a durable that is made again begins behind
// the last event before which all is settled, and one that waits for its retry may stand far back. Each worker keeps in the
// state bucket what it has settled behind that. Lost, it costs repeats, and no more.

import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { StateStore } from "../../bus/state-store.ts";
import type { Delivery } from "../../bus/subscription.ts";
import { fnv1aOf } from "../../event/lane.ts";
import { type SourceId, streamName } from "../../event/source-id.ts";
import type { LastTold, ToldAt } from "./event-log.ts";
import { type Job, lastTold, type Said } from "./job.ts";

/** How many that were settled last are known to be. */
const atMost = 10_000;

/** A sequence, and of what event: the same number in a bus that was set back may be another's. */
type Settled = readonly [sequence: number, idHash: number];
const settledSchema: z.ZodType<readonly Settled[]> = z.array(z.tuple([z.int(), z.int()]));

/** A sequence of the stream's own; of a replay with its run, and of a message of MILLRACE_RETRY with its attempts. */
type Name = number | string;

/** Events whose handlers ended together. */
interface Group {
  readonly names: readonly Name[];
  /** Of the names that are numbers: so that few groups are looked through for one. */
  readonly lowest: number;
  readonly highest: number;
  readonly idHashes: readonly number[];
  readonly saids: readonly (Said | undefined)[];
  /** Undefined before they were told. */
  toldAt: ToldAt | undefined;
}

interface Handled {
  readonly idHash: number;
  readonly said: Said;
  /** Undefined before it was told; behind a later interruption of the bus that may be lost. */
  lastTold: LastTold | undefined;
}

interface Buried {
  readonly idHash: number;
  readonly lastTold: LastTold | undefined;
}

/** The settled events of one automation on one source, as far as one worker knows. All that asks the bus rejects with TransientError while it is away. */
export class SettledEvents {
  readonly #state: StateStore;
  readonly #prefix: string;
  readonly #key: string;
  /** Newest last. */
  readonly #handled = new Map<Name, Handled>();
  /** Newest last. */
  readonly #groups: Group[] = [];
  #inGroups = 0;
  readonly #buried = new Map<Name, Buried>();
  #others: ReadonlyMap<number, number> = new Map<number, number>();
  #revision = 0;
  #shared = "[]";

  constructor(state: StateStore, automation: string, source: SourceId) {
    this.#state = state;
    this.#prefix = `settled.${automation}.${streamName(source)}.`;
    this.#key = `${this.#prefix}${randomUUID()}`;
  }

  /** A handler has done its work. */
  handled(delivery: Delivery, said: Said): void {
    keep(this.#handled, eventName(delivery), { idHash: hashOf(delivery), said, lastTold: undefined });
  }

  /** Those of many have. Returns where it is to be noted that they are told. */
  handledTogether(jobs: readonly Pick<Job, "delivery" | "said">[]): { toldAt: ToldAt | undefined } {
    const [names, idHashes, saids]: [Name[], number[], (Said | undefined)[]] = [[], [], []];
    let [lowest, highest] = [Number.POSITIVE_INFINITY, 0];
    for (const { delivery, said } of jobs) {
      const name = eventName(delivery);
      if (typeof name === "number") [lowest, highest] = [Math.min(lowest, name), Math.max(highest, name)];
      names.push(name);
      idHashes.push(hashOf(delivery));
      saids.push(said);
    }
    const group: Group = { names, lowest, highest, idHashes, saids, toldAt: undefined };
    if (names.length > 0) this.#groups.push(group);
    this.#inGroups += names.length;
    while (this.#groups.length > 1 && this.#inGroups > atMost)
      this.#inGroups -= this.#groups.shift()?.names.length ?? 0;
    return group;
  }

  /** That stands in the event log. */
  told(delivery: Delivery, last: LastTold | undefined): void {
    const name = eventName(delivery);
    const known = this.#find(name);
    if (known !== undefined) keep(this.#handled, name, { ...known, lastTold: last });
  }

  /** A dead letter is stored, or what goes on in its place in MILLRACE_RETRY. */
  buried(delivery: Delivery, lastTold: LastTold | undefined): void {
    keep(this.#buried, messageName(delivery), { idHash: hashOf(delivery), lastTold });
  }

  /** What this worker told of it before, as far as it is known to be settled: it may come again behind its end. */
  lastTold(delivery: Delivery): LastTold | undefined {
    if (this.#buried.size === 0 && !delivery.again) return undefined;
    const known = this.#buried.get(messageName(delivery)) ?? this.#find(eventName(delivery));
    return known?.idHash === hashOf(delivery) ? known.lastTold : undefined;
  }

  /**
   * Whether all that is left to do is to ack it, or to tell it once more before that; undefined where it is not known to be
   * settled. A dead letter may be lost with the ack, unless only the durable was.
   */
  find(delivery: Delivery, interruptions: number): "told" | Said | undefined {
    if (!delivery.again) return undefined;
    const handled = this.#find(eventName(delivery));
    if (handled?.idHash === hashOf(delivery))
      return handled.lastTold?.at.interruptions === interruptions ? "told" : handled.said;
    const name = messageName(delivery);
    const others = typeof name === "number" ? this.#others.get(name) : undefined;
    const remade = delivery.remade ? (this.#buried.get(name)?.idHash ?? others) : undefined;
    return remade !== undefined && remade === hashOf(delivery) ? "told" : undefined;
  }

  /** Puts on record what this worker settled behind a sequence up to which all is. */
  async share(through: number): Promise<void> {
    const handled = [...this.#handled].map(([name, { idHash }]) => [name, idHash] as const);
    const buried = [...this.#buried].map(([name, { idHash }]) => [name, idHash] as const);
    const together = this.#groups.flatMap(({ names, idHashes }) =>
      names.map((name, at) => [name, idHashes[at] ?? 0] as const),
    );
    const settled: readonly Settled[] = [...new Map([...together, ...handled, ...buried])].flatMap(([name, hash]) =>
      typeof name === "number" && name > through ? [[name, hash] as const] : [],
    );
    const text = JSON.stringify(settled);
    if (text === this.#shared) return;
    if (settled.length === 0) {
      await this.#state.delete(this.#key);
      [this.#revision, this.#shared] = [0, text];
      return;
    }
    const revision = await this.#state.put(this.#key, settled, this.#revision);
    // Stored, and the answer lost; or somebody swept it away.
    if (revision === undefined) this.#revision = (await this.#state.get(this.#key))?.revision ?? 0;
    else [this.#revision, this.#shared] = [revision, text];
  }

  /** Reads what the others have put on record. */
  async learn(): Promise<void> {
    const others = await Promise.all((await this.#keys()).map((key) => this.#read(key)));
    this.#others = new Map(others.flat());
  }

  /** Deletes what workers that are gone have left, once all of it is behind. */
  async sweep(through: number): Promise<void> {
    for (const key of await this.#keys()) {
      if ((await this.#read(key)).every(([sequence]) => sequence <= through)) await this.#state.delete(key);
    }
  }

  /** What is known of an event whose handler has done its work. */
  #find(name: Name): Handled | undefined {
    const alone = this.#handled.get(name);
    if (alone !== undefined) return alone;
    for (let nth = this.#groups.length - 1; nth >= 0; nth--) {
      const { names, lowest, highest, idHashes, saids, toldAt } = this.#groups[nth] as Group;
      if (typeof name === "number" && (name < lowest || name > highest)) continue;
      const at = names.indexOf(name);
      const said = saids[at];
      if (said !== undefined) return { idHash: idHashes[at] ?? 0, said, lastTold: toldAt && lastTold(said, toldAt) };
    }
    return undefined;
  }

  async #keys(): Promise<readonly string[]> {
    return (await this.#state.keys(this.#prefix)).filter((key) => key !== this.#key);
  }

  async #read(key: string): Promise<readonly Settled[]> {
    return settledSchema.catch([]).parse((await this.#state.get(key))?.value);
  }
}

/** Names the event in its run: handled is handled, whichever message brought it. */
function eventName({ sequence, run }: Delivery): Name {
  return run === undefined ? sequence : `${sequence}/${run}`;
}

/** Names the message: what goes on in another one is settled in this one alone. */
function messageName(delivery: Delivery): Name {
  const { carried } = delivery;
  return carried === undefined ? eventName(delivery) : `${eventName(delivery)}#${carried.attempts}`;
}

function keep<What>(settled: Map<Name, What>, name: Name, what: What): void {
  settled.set(name, what);
  if (settled.size <= atMost) return;
  for (const oldest of settled.keys()) {
    settled.delete(oldest);
    break;
  }
}

function hashOf(delivery: Delivery): number {
  return fnv1aOf(delivery.header("ce-id") ?? "");
}
