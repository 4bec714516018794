// A row that cannot travel: where it comes from, why, and what of its bytes may be kept.

import { PoisonError, toError } from "../../../errors.ts";
import { CUT, keptOf, keptOfCut } from "../replication/cut-frame.ts";
import type { FrameReader } from "./frame-reader.ts";
import type { PoisonRow } from "./sequencer.ts";

/** Where such a row comes from, and whether its bytes must not be kept. */
export type Place = Pick<PoisonRow, "namespace" | "collection"> & { readonly hides: boolean };

/** @param reader at the row's frame */
export function poisonRow(reader: FrameReader, { namespace, collection, hides }: Place, error: unknown): PoisonRow {
  const { bytes, from, end } = reader;
  const kept = bytes[from] === CUT ? keptOfCut(bytes, from, end) : keptOf(bytes, from, end);
  // What must not leave must not leave here; the bare hash of one of few possible values would tell it.
  const shown = hides ? { ...kept, raw: new Uint8Array(), sha256: undefined } : kept;
  // The cause is left out: a parser's message may quote the row.
  const known = error instanceof PoisonError ? error : undecodable(toError(error).name);
  return { namespace, collection, ...shown, error: known };
}

/** @param bytes of the row */
export function tooLarge(bytes: number): PoisonError {
  return new PoisonError("ROW_TOO_LARGE", `a row of ${bytes} bytes is larger than the source's maxRowBytes`, {
    hint: "raise maxRowBytes of the source (the worker holds a few such rows in memory), or leave the wide column out",
  });
}

/** In an encoding that leaves bytes undefined; the server stores them all the same. */
export function textUndefined(): PoisonError {
  return new PoisonError(
    "TEXT_UNDEFINED",
    "a text of the row has a byte that the database's encoding leaves undefined",
    {
      hint: "write the value without it, twice under REPLICA IDENTITY FULL: the second event has the row",
    },
  );
}

/** A partition with another replica identity than its root. */
export function keyMissing(): PoisonError {
  return new PoisonError("KEY_MISSING", "the log carries no value for a key column before the change", {
    hint: "give all partitions the replica identity of their root",
  });
}

function undecodable(what: string): PoisonError {
  return new PoisonError("ROW_UNDECODABLE", `a row cannot be decoded: ${what}`);
}
