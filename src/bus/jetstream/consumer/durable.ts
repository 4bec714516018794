// The durable of an automation on one stream: made where it is missing, made again where it is not the one on record or
// was changed so that it passes messages over, brought up to date, and looked after.

import type { ConsumerConfig, ConsumerCreateOptions, ConsumerInfo, JetStreamManager } from "@nats-io/jetstream";
import { realClock } from "../../../clock.ts";
import { ConfigError, TransientError } from "../../../errors.ts";
import { retryId } from "../../../event/source-id.ts";
import type { ConsumeOptions, Obstacle } from "../../subscription.ts";
import { apiCodes } from "../client/api-codes.ts";
import { isApiError, orNothing } from "../client/bus-errors.ts";
import { firstSince } from "../client/first-since.ts";
import {
  changeOf,
  configured,
  isForeign,
  isPinned,
  isSetTo,
  lifeOf,
  newDurable,
  repeatsThroughOf,
  type Settings,
  settingsOf,
} from "./durable-settings.ts";
import { isOnRecord, type SettledWatermark } from "./settled-watermark.ts";
import type { AccountedRecord, Entry } from "./watermark-record.ts";

/** What another worker needs to make a durable that it has put on record. */
const MAKING_MS = 1000;

export interface FoundStream {
  readonly name: string;
  readonly created: string;
  readonly firstSeq: number;
  /** The newest sequence; 0 when the stream did not exist yet at the first look, for then all of it is new. */
  readonly lastSeq: number;
}

export interface DurableOptions {
  readonly jsm: JetStreamManager;
  readonly stream: string;
  readonly record: AccountedRecord;
  readonly consume: ConsumeOptions;
}

export class Durable {
  readonly #options: DurableOptions;
  readonly #settings: Settings;
  #info: ConsumerInfo | undefined;
  #madeAgain: string | undefined;
  #obstacle: Obstacle | undefined;

  constructor(options: DurableOptions) {
    this.#options = options;
    this.#settings = settingsOf(options.consume);
  }

  /** Why it was made again or brought back by `open`, for a person; undefined when it was not. */
  get madeAgain(): string | undefined {
    return this.#madeAgain;
  }

  /** What comes up to this sequence may have been handed out before, whatever the server's count says. */
  get repeatsThrough(): number {
    return this.#info === undefined ? 0 : repeatsThroughOf(this.#info.config);
  }

  /** Finds it or makes it, as it has to be. @throws ConfigError, TransientError, what the client throws */
  async open(stream: FoundStream): Promise<ConsumerInfo> {
    for (let waited = false; ; ) {
      const known = await this.#options.record.read();
      const found = await this.#find();
      if (found !== undefined && isForeign(found.config)) throw foreign(found);
      const wrong = wrongWith(found, known?.value);
      if (found !== undefined && wrong === undefined) return this.#update(found);
      if (found === undefined && isBeingMade(known?.value) && !waited) {
        // Another worker may be about to make it.
        waited = true;
        await realClock.sleep(MAKING_MS, this.#options.consume.signal);
        this.#options.consume.signal.throwIfAborted();
        continue;
      }
      const made = await this.#make(stream, known, found);
      if (made === undefined) continue;
      // One that was only on record, because whoever was to make it was killed, is not told of.
      if (found !== undefined || (known !== undefined && !isBeingMade(known.value)))
        this.#madeAgain = wrong ?? "it was gone";
      return made;
    }
  }

  /**
   * Asks for it.
   * @throws TransientError when it is gone, another one, or changed: then it is opened anew; what the client throws
   */
  async look(): Promise<ConsumerInfo> {
    const { jsm, stream, consume } = this.#options;
    const name = `the durable ${consume.durable} of ${stream}`;
    let info: ConsumerInfo;
    try {
      info = await jsm.consumers.info(stream, consume.durable);
    } catch (error) {
      if (!isApiError(error, apiCodes.consumerNotFound, apiCodes.streamNotFound)) throw error;
      throw lost(`${name} is gone`, error);
    }
    if (info.created !== this.#info?.created) throw lost(`${name} was deleted and made again`);
    const change = changeOf(info.config);
    if (change !== undefined) throw changed(`somebody changed ${change.settings.join(", ")} of ${name}`);
    this.#obstacle = obstacleOf(info);
    return info;
  }

  /** What keeps it from handing out what waits, as of the last look. */
  get obstacle(): Obstacle | undefined {
    return this.#obstacle;
  }

  /** @throws what the client throws */
  async depth(): Promise<{ readonly pending: number; readonly unacked: number }> {
    const { jsm, stream, consume } = this.#options;
    const info = await jsm.consumers.info(stream, consume.durable);
    return { pending: info.num_pending, unacked: info.num_ack_pending };
  }

  /** It gave up or passed over a message: it has to be made again, from before that one. @throws TransientError */
  async distrust(sequence: number): Promise<void> {
    const life = this.#info === undefined ? 0 : lifeOf(this.#info.config);
    await this.#options.record.change((known) =>
      // One that was made since is not meant.
      (known.durable?.life ?? 0) > life
        ? undefined
        : { ...known, through: Math.min(known.through, sequence - 1), durable: { life: life + 1 } },
    );
  }

  #find(): Promise<ConsumerInfo | undefined> {
    const { jsm, stream, consume } = this.#options;
    return orNothing(jsm.consumers.info(stream, consume.durable), apiCodes.consumerNotFound);
  }

  /** From where all is settled that is on record; undefined when another worker was quicker. */
  async #make(
    stream: FoundStream,
    known: Entry | undefined,
    found: ConsumerInfo | undefined,
  ): Promise<ConsumerInfo | undefined> {
    const { jsm, record, consume } = this.#options;
    const through = settledThrough(stream, known?.value, await this.#start(stream, known));
    const life = Math.max(known?.value.durable?.life ?? 0, found === undefined ? 0 : lifeOf(found.config)) + 1;
    // First on record, then made: killed in between, it is made from the same place.
    const same = known?.value.created === stream.created ? known.value : {};
    const begun: SettledWatermark = { ...same, created: stream.created, through, durable: { life } };
    if (!(await record.put(begun, known))) return undefined;
    if (found !== undefined)
      await orNothing(jsm.consumers.delete(stream.name, consume.durable), apiCodes.consumerNotFound);
    const repeatsThrough = known === undefined ? 0 : stream.lastSeq;
    const config = newDurable(consume.durable, this.#settings, {
      start: consume.source === retryId ? "all" : through + 1,
      life,
      repeatsThrough,
    });
    const made = await orNothing(jsm.consumers.add(stream.name, config), ...apiCodes.consumerExists);
    if (made !== undefined) this.#info = made;
    return made;
  }

  /** A time is asked for only where nothing is on record: behind a restart it would be another place. */
  async #start({ name }: FoundStream, known: Entry | undefined): Promise<Exclude<ConsumeOptions["start"], Date>> {
    const { jsm, consume } = this.#options;
    if (!(consume.start instanceof Date)) return consume.start;
    return known === undefined ? await firstSince(jsm, name, consume.start) : "earliest";
  }

  /** Settings follow the definition, and what somebody changed is put back; the durable keeps its place. */
  async #update(found: ConsumerInfo): Promise<ConsumerInfo> {
    const { jsm, stream, consume } = this.#options;
    const change = changeOf(found.config);
    if (change !== undefined) this.#madeAgain = `somebody had changed its ${change.settings.join(", ")}`;
    if (isSetTo(found.config, this.#settings)) {
      this.#info = found;
    } else {
      const wanted = configured(this.#settings, found.config.metadata);
      this.#info = isPinned(found.config)
        ? await jsm.consumers.add(stream, { ...ungrouped(found.config), ...wanted }, asUpdate)
        : await jsm.consumers.update(stream, consume.durable, wanted);
    }
    return this.#info;
  }
}

/** The client's type leaves the action out. */
const asUpdate: ConsumerCreateOptions = { action: "update" } as ConsumerCreateOptions;

/** The client's `update` keeps what is not named, and does not let groups be named as none. */
function ungrouped(config: ConsumerConfig): ConsumerConfig {
  const { priority_policy, priority_groups, priority_timeout, ...rest } = config;
  return rest;
}

/** Why a durable cannot go on as it is, for a person; undefined when it can. */
function wrongWith(found: ConsumerInfo | undefined, known: SettledWatermark | undefined): string | undefined {
  if (found === undefined) return undefined;
  const change = changeOf(found.config);
  if (change?.loses) return `somebody had changed its ${change.settings.join(", ")}`;
  const facts = { created: found.created, life: lifeOf(found.config) };
  return isOnRecord(known, facts) ? undefined : "it was not the one on record";
}

function isBeingMade(known: SettledWatermark | undefined): boolean {
  return known?.durable !== undefined && known.durable.created === undefined;
}

function settledThrough(
  stream: FoundStream,
  known: SettledWatermark | undefined,
  start: Exclude<ConsumeOptions["start"], Date>,
): number {
  if (known?.created === stream.created) return known.through;
  // In another stream of that name, what the first one had comes again under new numbers: all of it may be new.
  if (known !== undefined) return Math.max(0, stream.firstSeq - 1);
  if (typeof start === "number") return start - 1;
  return Math.max(start === "now" ? stream.lastSeq : 0, stream.firstSeq - 1);
}

function obstacleOf({ paused, config, num_ack_pending, num_pending }: ConsumerInfo): Obstacle | undefined {
  if (paused) {
    const message = `somebody paused its durable until ${config.pause_until}: nothing is handed out until then`;
    return { code: "AUTOMATION_PAUSED", message };
  }
  const most = config.max_ack_pending ?? -1;
  // An ordered one has all of them in one hand, which tells itself when it is stuck.
  if (most < 0 || num_pending === 0 || num_ack_pending < most || isPinned(config)) return undefined;
  const message = `${num_ack_pending} events wait for their retry, and ${num_pending} others for one of those to be settled`;
  return { code: "AUTOMATION_RETRIES_FULL", message };
}

function foreign({ name, stream_name: stream }: ConsumerInfo): ConfigError {
  return new ConfigError("BUS_DURABLE_FOREIGN", `the durable ${name} of ${stream} is not one of Millrace's`, {
    hint: "give the automation another id, or delete that durable",
  });
}

function lost(message: string, cause?: unknown): TransientError {
  return new TransientError("BUS_DURABLE_LOST", message, {
    cause,
    hint: "somebody deleted it, or the bus lost it; it is made again where all of its events are settled",
  });
}

export function changed(message: string): TransientError {
  return new TransientError("BUS_DURABLE_CHANGED", message, {
    hint: "it is put right, and what it passed over meanwhile is handed out; docs/operations/bus-changed-by-others.md",
  });
}
