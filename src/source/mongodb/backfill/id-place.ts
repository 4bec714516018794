// The `_id` behind which a copy goes on: as canonical Extended JSON in the progress, and as the value that the server is asked by.

import { isUtf8 } from "node:buffer";
import { ConfigError } from "../../../errors.ts";
import { formatCollectionName } from "../../../event/collection-name.ts";
import type { CopyTarget, SliceRequest } from "../../capabilities.ts";
import { JsonWriter } from "../../json-writer.ts";
import { driver } from "../client/driver.ts";
import type { RawValue } from "../decode/raw-event.ts";
import { Type } from "../values/bson.ts";
import { writeValue } from "../values/bson-json.ts";

/** Of an `_id`: the progress stands in a message with each batch. */
const MAX_ID_BYTES = 8 * 1024;
/** Beyond it JavaScript knows no time. */
const MAX_DATE_MS = 8_640_000_000_000_000n;
const NAME = Buffer.from("_id\0");

/** As it stands in the progress. */
interface IdPlace {
  /** `CopyTarget.id`: another collection of the same name has other documents. */
  readonly collection: string;
  /** Canonical Extended JSON of `{"_id": ...}`. */
  readonly id: string;
  /** The same of the largest one that there was when its first slice was read: what came behind it since came by events. */
  readonly upTo?: string | undefined;
}

const writer = new JsonWriter();

/** The progress behind the document with this `_id`, which `checkId` has let through. @param upTo as `endOf` has it */
export function placeBehind(
  target: CopyTarget,
  id: RawValue,
  upTo: string | undefined,
): Readonly<Record<string, unknown>> {
  return { collection: target.id, id: textOf(id), ...(upTo !== undefined && { upTo }) } satisfies IdPlace;
}

/** The value to go on behind; undefined from the first document on. Of another collection with that name nothing was read. */
export function idBehind(request: Pick<SliceRequest, "target" | "after">): { readonly value: unknown } | undefined {
  const place = placeIn(request);
  return place && { value: parseId(place.id) };
}

/** Up to and with which `_id` the progress says that the copy goes, for `parseId`; undefined where it says none. */
export function endOf(request: Pick<SliceRequest, "target" | "after">): string | undefined {
  return placeIn(request)?.upTo;
}

function placeIn({ target, after }: Pick<SliceRequest, "target" | "after">): IdPlace | undefined {
  const { collection, id, upTo } = (after ?? {}) as Partial<IdPlace>;
  if (collection !== target.id || typeof id !== "string") return undefined;
  return { collection, id, upTo: typeof upTo === "string" ? upTo : undefined };
}

/** @throws ConfigError BACKFILL_ID_UNFIT when nothing could be asked for behind this document */
export function checkId(target: CopyTarget, id: RawValue): void {
  const size = id.to - id.from;
  if (size > MAX_ID_BYTES) throw unfit(target, `is larger than ${MAX_ID_BYTES} bytes (${size})`);
  if (!comesBack(id)) throw unfit(target, "holds a value that the driver cannot send back to the server");
}

/** Whether the server gets the value that it has sent, or one that it sorts at the same place. */
function comesBack(id: RawValue): boolean {
  const { bytes, type, from, to } = id;
  switch (type) {
    case Type.objectId:
    case Type.int32:
    case Type.int64:
    case Type.double: // all that are no number are one
    case Type.decimal128:
    case Type.boolean:
    case Type.null:
    case Type.timestamp:
    case Type.minKey:
    case Type.maxKey:
      return true;
    case Type.string:
      return isUtf8(bytes.subarray(from + 4, to - 1));
    case Type.date: {
      const ms = bytes.readBigInt64LE(from);
      return ms >= -MAX_DATE_MS && ms <= MAX_DATE_MS;
    }
    default:
      return isSame(id);
  }
}

function isSame(id: RawValue): boolean {
  const sent = Buffer.concat([Buffer.of(id.type), NAME, id.bytes.subarray(id.from, id.to)]);
  try {
    const made = Buffer.from(driver().BSON.serialize({ _id: parseId(textOf(id)) }, { ignoreUndefined: false }));
    return made.subarray(4, -1).equals(sent);
  } catch {
    return false; // the library's own words would quote the value
  }
}

/** Canonical Extended JSON of `{"_id": ...}`. */
export function textOf(id: RawValue): string {
  writer.reserve(0);
  const start = writer.at;
  writeValue(writer, "ejson", id.bytes, id);
  const text = writer.bytes.toString("utf8", start, writer.at);
  writer.at = start;
  return `{"_id":${text}}`;
}

/** @param text canonical Extended JSON of `{"_id": ...}` */
export function parseId(text: string): unknown {
  return (driver().BSON.EJSON.parse(text, { relaxed: false }) as { readonly _id: unknown })._id;
}

function unfit(target: CopyTarget, why: string): ConfigError {
  const name = formatCollectionName(target);
  return new ConfigError("BACKFILL_ID_UNFIT", `a document of ${name} cannot be copied: its _id ${why}`, {
    hint: "Give the document another _id, or go on without the collection: millrace backfill resume <source> --without <collection>",
  });
}
