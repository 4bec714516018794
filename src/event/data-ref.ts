// An event whose body is too large for a message: its headers say where the body is, how long, and its digest.

import { PoisonError } from "../errors.ts";

/** The object store of all such bodies. */
export const LARGE_BUCKET = "millrace_large";

export interface DataRef {
  /** The name of the object in `millrace_large`: the event's id and the body's digest. */
  readonly name: string;
  readonly sizeBytes: number;
  /** In hexadecimal. */
  readonly sha256: string;
}

/** The header lines that stand for a body. */
export function dataRefLines({ name, sizeBytes, sha256 }: DataRef): string {
  return `ce-dataref: ${LARGE_BUCKET}/${name}\r\nCdc-Size: ${sizeBytes}\r\nCdc-Sha256: ${sha256}\r\n`;
}

/**
 * Where the body of an event without one is; undefined for a message that has its own, or none at all.
 * @throws PoisonError EVENT_UNDECODABLE when the headers are not ours
 */
export function dataRefOf(message: {
  readonly data: Uint8Array;
  header(name: string): string | undefined;
}): DataRef | undefined {
  if (message.data.length > 0) return undefined;
  const place = message.header("ce-dataref");
  if (place === undefined) return undefined;
  const name = place.startsWith(`${LARGE_BUCKET}/`) ? place.slice(LARGE_BUCKET.length + 1) : "";
  const sizeBytes = Number(message.header("Cdc-Size"));
  const sha256 = message.header("Cdc-Sha256") ?? "";
  if (name === "" || !Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw new PoisonError("EVENT_UNDECODABLE", "not a change event: its headers do not say where its body is", {
      hint: "something else than Millrace published into the source's stream; find it by the dead letter's headers",
    });
  }
  return { name, sizeBytes, sha256 };
}
