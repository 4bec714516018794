// What is kept of a schedule beside the stream, which forgets: since when it has its plan, and when it was due last.

import { z } from "zod";
import type { StateStore } from "../../bus/state-store.ts";

const instant = z.iso.datetime().transform((text) => Date.parse(text));
const schema = z.object({ plan: z.string(), since: instant, due: instant.optional() });

/** All times in ms since 1970. */
export interface ScheduleRecord {
  /** Of `Timetable`. */
  readonly plan: string;
  /** When this plan was seen first: no earlier time of it counts. */
  readonly since: number;
  /** The newest time that was fired, by whichever plan. */
  readonly due?: number | undefined;
}

/** In the state bucket. */
export class ScheduleStore {
  readonly #state: Pick<StateStore, "get" | "put">;
  readonly #key: string;

  constructor(state: Pick<StateStore, "get" | "put">, automation: string) {
    this.#state = state;
    this.#key = `schedule.${automation}`;
  }

  /** What is no record of ours is none. @throws TransientError while the bus is away */
  async read(): Promise<{ readonly record: ScheduleRecord | undefined; readonly revision: number }> {
    const entry = await this.#state.get(this.#key);
    return { record: schema.safeParse(entry?.value).data, revision: entry?.revision ?? 0 };
  }

  /** Whether it was stored: not when another worker was quicker. @throws TransientError while the bus is away */
  async write({ plan, since, due }: ScheduleRecord, revision: number): Promise<boolean> {
    const text = (ms: number): string => new Date(ms).toISOString();
    const value = { plan, since: text(since), ...(due !== undefined && { due: text(due) }) };
    return (await this.#state.put(this.#key, value, revision)) !== undefined;
  }

  /** Notes that a time was fired, unless a later one is on record. @throws TransientError while the bus is away */
  async fired(due: number, own: Omit<ScheduleRecord, "due">): Promise<void> {
    for (;;) {
      const { record, revision } = await this.read();
      if (record?.due !== undefined && record.due >= due) return;
      if (await this.write({ ...own, due }, revision)) return;
    }
  }
}
