// What a MongoDB source must not forget: where its stream begins, and of which cluster.

import { z } from "zod";
import type { ConnectorState } from "../source.ts";
import type { Place } from "./client/position.ts";

const schema = z.object({
  kind: z.literal("mongodb"),
  history: z.int(),
  start: z.object({ t: z.int(), i: z.int() }),
  /** The replica set's name; undefined behind mongos. */
  setName: z.string().optional(),
});

export type StreamRecord = z.infer<typeof schema>;

/** A history that is on record. */
export interface Begun {
  readonly record: StreamRecord;
  readonly start: Place;
}

export function begunOf(record: StreamRecord): Begun {
  return { record, start: { history: record.history, time: record.start, ordinal: 0, idle: 0, token: undefined } };
}

export function readRecord(saved: Readonly<Record<string, unknown>> | undefined): StreamRecord | undefined {
  return saved === undefined ? undefined : schema.parse(saved);
}

export async function loadRecord(state: ConnectorState): Promise<StreamRecord | undefined> {
  return readRecord(await state.load());
}
