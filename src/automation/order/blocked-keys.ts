// Keys that stand still until a person resumes or drops them: on record in the state bucket, for the command that lists them
// and says what to do, and for the worker that has the key in hand and obeys.

import { z } from "zod";
import type { StateStore } from "../../bus/state-store.ts";
import { blockedPrefix } from "../../event/control.ts";
import type { SourceId } from "../../event/source-id.ts";
import { streamName } from "../../event/source-id.ts";
import { laneToken } from "./parked-keys.ts";

const askedSchema = z.enum(["resume", "drop"]);
/** What a person says of a blocked key: try its event anew, or make it a dead letter; then the key goes on. */
export type Asked = z.infer<typeof askedSchema>;

const blockedSchema = z
  .object({
    lane: z.string(),
    /** Of the event that blocks it. */
    sequence: z.int(),
    id: z.string(),
    /** ms since 1970 */
    since: z.number(),
    reason: z.string(),
    attempts: z.int(),
    error: z.object({ name: z.string(), message: z.string() }),
    asked: askedSchema.exactOptional(),
  })
  .readonly();
export type BlockedKey = z.infer<typeof blockedSchema>;

/** Of one automation on one stream. All reject with TransientError while the bus is away. */
export class BlockedKeys {
  readonly #state: StateStore;
  /** What the keys of all that is on record begin with. */
  readonly prefix: string;

  constructor(state: StateStore, automation: string, durable: string, source: SourceId) {
    this.#state = state;
    this.prefix = `${blockedPrefix(automation)}${durable}.${streamName(source)}.`;
  }

  /** Puts a key on record, or finds it there; what a person has said of it already. */
  async block(key: BlockedKey): Promise<BlockedKey> {
    for (;;) {
      const at = this.prefix + laneToken(key.lane);
      const known = await this.#state.get(at);
      const found = known && parse(known.value);
      if (found?.id === key.id && found.sequence === key.sequence) return found;
      if ((await this.#state.put(at, key, known?.revision ?? 0)) !== undefined) return key;
    }
  }

  async find(lane: string): Promise<BlockedKey | undefined> {
    return parse((await this.#state.get(this.prefix + laneToken(lane)))?.value);
  }

  async all(): Promise<readonly BlockedKey[]> {
    return (await readAll(this.#state, this.prefix)).map(({ key }) => key);
  }

  async clear(lane: string): Promise<void> {
    await this.#state.delete(this.prefix + laneToken(lane));
  }
}

/** Blocked keys of an automation, on all of its streams, the one that has been so for longest first. @throws TransientError */
export async function listBlocked(
  state: Pick<StateStore, "keys" | "get">,
  automation: string,
): Promise<readonly BlockedKey[]> {
  const found = await readAll(state, blockedPrefix(automation));
  return found.map(({ key }) => key).sort((a, b) => a.since - b.since);
}

/**
 * Says what is to become of blocked keys: whoever has them in hand obeys, within some seconds or once it runs.
 * @param which those that are meant
 * @returns those that were told
 * @throws TransientError
 */
export async function askBlocked(
  state: StateStore,
  automation: string,
  which: (key: BlockedKey) => boolean,
  asked: Asked,
): Promise<readonly BlockedKey[]> {
  const told: BlockedKey[] = [];
  for (const { at, key, revision } of await readAll(state, blockedPrefix(automation))) {
    if (!which(key)) continue;
    // Gone, or another event's by now: then it is not the one that was meant.
    if ((await state.put(at, { ...key, asked }, revision)) !== undefined) told.push(key);
  }
  return told;
}

interface Found {
  readonly at: string;
  readonly key: BlockedKey;
  readonly revision: number;
}

async function readAll(state: Pick<StateStore, "keys" | "get">, prefix: string): Promise<readonly Found[]> {
  const entries = await Promise.all((await state.keys(prefix)).map(async (at) => ({ at, entry: await state.get(at) })));
  return entries.flatMap(({ at, entry }) => {
    const key = entry && parse(entry.value);
    return key === undefined || entry === undefined ? [] : [{ at, key, revision: entry.revision }];
  });
}

function parse(value: unknown): BlockedKey | undefined {
  return blockedSchema.safeParse(value).data;
}
