// A stream's record as the server's JSON has it.

import type { Item } from "../values/attribute.ts";

export interface StreamRecord {
  /** Seconds since 1970. */
  readonly ApproximateCreationDateTime?: number;
  readonly Keys?: Item;
  readonly NewImage?: Item;
  readonly OldImage?: Item;
  /** Up to forty digits. */
  readonly SequenceNumber: string;
  readonly SizeBytes?: number;
}

export interface RawRecord {
  readonly eventName?: string;
  /** Its members are spelled in two ways. */
  readonly userIdentity?: Readonly<Record<string, string>> | null;
  readonly dynamodb: StreamRecord;
}

/** What a Date holds. */
const MAX_DATE_MS = 8.64e15;
/** Who deletes what has expired. */
const EXPIRY = "dynamodb.amazonaws.com";

/** Whether the server deleted the item because its time was over. */
export function isExpiry({ userIdentity }: RawRecord): boolean {
  const { Type, type = Type, PrincipalId, principalId = PrincipalId } = userIdentity ?? {};
  return type === "Service" && principalId === EXPIRY;
}

/** Milliseconds since 1970. */
export function createdAt({ dynamodb: { ApproximateCreationDateTime: seconds } }: RawRecord): number | undefined {
  const given = Number(seconds);
  // Seconds of the next three thousand years; else milliseconds or microseconds, which some servers write.
  const perSecond = given < 1e11 ? 1 : given < 1e14 ? 1e3 : 1e6;
  const ms = perSecond === 1 ? Math.round(given * 1000) : Math.floor((given / perSecond) * 1000);
  return Math.abs(ms) <= MAX_DATE_MS ? ms : undefined;
}
