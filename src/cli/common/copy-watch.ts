// How the newest copy of a source stands, looked at again and again: also over a bus that comes and goes.

import { readOrder } from "../../backfill/order.ts";
import { parseProgress } from "../../backfill/progress.ts";
import { type CopyStanding, copiedOnce, newestCopy } from "../../backfill/standing.ts";
import { type BackfillOnBus, openBackfillOnBus } from "../../bus/jetstream/commands/backfill-on-bus.ts";
import type { ResolvedConfig } from "../../config/resolve.ts";
import type { SourceId } from "../../event/source-id.ts";

/** One look. */
export interface CopyLook {
  /** Undefined where none was ever asked for. */
  readonly copy: CopyStanding | undefined;
  /** When the newest marker of it was sent, RFC 3339; undefined before the first. */
  readonly toldAt: string | undefined;
  /** Whether a worker reads the source now: without one nothing is copied. */
  readonly isRead: boolean;
}

/** @throws ConfigError, TransientError */
export async function lookAtCopy(bus: BackfillOnBus, source: SourceId): Promise<CopyLook> {
  const told = await bus.newest(source);
  const { order } = (await readOrder(bus.state, source)) ?? {};
  const copy = newestCopy(order, told && parseProgress(told.value));
  return { copy, toldAt: copy?.progress && told?.at, isRead: await bus.isRead(source) };
}

/** As `copiedOnce`, of each source. @throws ConfigError, TransientError */
export async function readCopiedOnce(
  sources: readonly SourceId[],
  { access, replicas }: ResolvedConfig<unknown>["bus"],
  signal: AbortSignal,
): Promise<ReadonlyMap<SourceId, Readonly<Record<string, string>>>> {
  await using bus = await openBackfillOnBus({ ...access.reveal(), replicas, signal });
  const looks = sources.map(async (source) => [source, copiedOnce((await lookAtCopy(bus, source)).copy)] as const);
  return new Map(await Promise.all(looks));
}

export class CopyWatch implements AsyncDisposable {
  readonly source: SourceId;
  readonly #open: () => Promise<BackfillOnBus>;
  #bus: BackfillOnBus | undefined;

  constructor(source: SourceId, { access, replicas }: ResolvedConfig<unknown>["bus"], signal: AbortSignal) {
    this.source = source;
    this.#open = () => openBackfillOnBus({ ...access.reveal(), replicas, signal });
  }

  /** The connection, made where there is none. @throws ConfigError, TransientError */
  async bus(): Promise<BackfillOnBus> {
    this.#bus ??= await this.#open();
    return this.#bus;
  }

  /** @throws ConfigError, TransientError: the next look connects once more */
  async look(): Promise<CopyLook> {
    try {
      return await lookAtCopy(await this.bus(), this.source);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const bus = this.#bus;
    this.#bus = undefined;
    await bus?.[Symbol.asyncDispose]();
  }
}
