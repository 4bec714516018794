// What is on record of a source's slot while the source runs: a reading goes on by it once all that must hold is so, and is
// saved before the first frame; what is saved later is saved one after another, each from what is so by then.

import type { Client } from "pg";
import type { HistoryLostError } from "../../errors.ts";
import type { Position } from "../../event/position.ts";
import type { SourceContext } from "../source.ts";
import { historyOf } from "./client/position.ts";
import type { Session } from "./client/session.ts";
import { identifySystem } from "./client/walsender.ts";
import { freeSlot } from "./kept-slot.ts";
import type { ProvidedSlot } from "./slot/first-start.ts";
import { checkCluster, followLog } from "./slot/identity.ts";
import { abandon } from "./slot/provide-slot.ts";
import { type Resumption, resumeAt } from "./slot/resume.ts";
import { withSlot } from "./slot/slot.ts";
import type { Created, SlotRecord } from "./slot/slot-record.ts";

export interface KeptRecordOptions {
  readonly provided: ProvidedSlot;
  readonly session: Session;
  readonly context: Pick<SourceContext, "memory" | "accepts" | "onAccepted">;
}

export class KeptRecord {
  readonly #options: KeptRecordOptions;
  #current: Created;
  /** Of a slot that is being taken over nothing is on record before the first reading. */
  #saved: boolean;
  #saves: Promise<void> = Promise.resolve();

  constructor(options: KeptRecordOptions) {
    this.#options = options;
    this.#current = options.provided.intent;
    this.#saved = options.provided.saved;
  }

  /** As it is now. */
  get current(): Created {
    return this.#current;
  }

  /**
   * Everything that must hold before the first frame.
   * @param client the very connection that will carry the stream
   * @param from the end of what is stored; undefined when there is nothing
   * @throws HistoryLostError, TransientError SLOT_ACTIVE
   */
  async resume(client: Client, from: Position | undefined): Promise<Resumption> {
    const { session, context } = this.#options;
    const system = await identifySystem(client);
    checkCluster(this.#current, system);
    const slot = await withSlot(session, this.#current.slot, () => freeSlot(session, this.#current.slot));
    const known = this.#saved || from === undefined ? this.#current : { ...this.#current, history: historyOf(from) };
    const intent = await followLog({
      client,
      intent: known,
      system,
      stored: from,
      slot,
      adopting: !this.#saved,
      accepts: context.accepts,
    });
    const resumption = resumeAt(intent, from, slot, context.accepts);
    const accepted = !this.#saved || resumption.intent.cause !== this.#current.cause;
    if (!this.#saved || resumption.intent !== this.#current) {
      await this.#save(() => resumption.intent);
      this.#current = resumption.intent;
      this.#saved = true;
    }
    if (accepted) context.onAccepted();
    return resumption;
  }

  /** Puts on record what is known of the tables, unless it has come to nothing by its turn. */
  setTables(known: () => Pick<Created, "published" | "untold"> | undefined): Promise<void> {
    return this.#save(() => {
      const tables = known();
      if (tables === undefined) return undefined;
      this.#current = { ...this.#current, ...tables };
      return this.#current;
    });
  }

  /**
   * The loss of its history was accepted: the next start begins another one.
   * @param from where the newest reading began
   * @throws HistoryLostError the same, where nothing is on record
   */
  async giveUp(lost: HistoryLostError, from: Position | undefined): Promise<void> {
    if (!this.#saved) throw lost;
    const history = Math.max(this.#current.history, from === undefined ? 0 : historyOf(from));
    await this.#save(() => abandon(this.#current, lost, undefined, history));
  }

  /** One after another, each from what is so by then; undefined saves nothing. */
  #save(state: () => SlotRecord | undefined): Promise<void> {
    const saved = this.#saves.then(async () => {
      const value = state();
      if (value !== undefined) await this.#options.context.memory.save(value);
    });
    this.#saves = saved.catch(() => {}); // the next one does not care how this one ended
    return saved;
  }
}
