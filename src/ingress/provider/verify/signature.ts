// Signatures by HMAC: what a provider's scheme is, and how it is held against a request.

import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingRequest, Refused } from "../receiver.ts";
import { refused } from "../request.ts";

/** A digest in a request, and what it must be of. */
export interface Signed {
  /** As they came: one that is right is enough. */
  readonly digests: readonly string[];
  /** What is signed before the body and behind it; header values as Node has them, one byte a letter. */
  readonly before: string;
  readonly behind: string;
  /** As it came; undefined where it is missing. */
  readonly time: string | undefined;
}

export interface Scheme {
  readonly algorithm: "sha1" | "sha256" | "sha384" | "sha512";
  readonly encoding: "hex" | "base64";
  /** What a secret as configured stands for. */
  readonly keys: readonly Buffer[];
  /** How far a request's time may lie from now; undefined: the scheme has no time. */
  readonly toleranceSeconds: number | undefined;
  /** Undefined: a header that it needs is missing, or doubled. */
  read(request: IncomingRequest): Signed | undefined;
}

/**
 * Undefined when a digest of the request is that of the bytes that came, by one of the keys, and its time is near.
 * Every key is tried with every digest, whichever was right: how long it takes says nothing of them.
 */
export function checkSignature(scheme: Scheme, request: IncomingRequest, nowMs: number): Refused | undefined {
  const signed = scheme.read(request);
  if (signed === undefined || signed.digests.length === 0) return refused(401, "signature");
  let right = false;
  for (const key of scheme.keys) {
    const hmac = createHmac(scheme.algorithm, key).update(signed.before, "latin1");
    const expected = Buffer.from(hmac.update(request.body).update(signed.behind, "latin1").digest(scheme.encoding));
    for (const digest of signed.digests) right = isDigest(scheme, digest, expected) || right;
  }
  if (!right) return refused(401, "signature");
  if (scheme.toleranceSeconds === undefined) return undefined;
  return isNear(signed.time, scheme.toleranceSeconds, nowMs) ? undefined : refused(401, "timestamp");
}

/** The texts are compared, not what they decode to: a decoder passes over what is no digit, and takes more than one text for the same. */
function isDigest({ encoding }: Scheme, digest: string, expected: Buffer): boolean {
  const given = Buffer.from(encoding === "hex" ? digest.toLowerCase() : digest);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/** Unix seconds, in decimal and nothing else, which lie this near to now on either side. */
function isNear(time: string | undefined, toleranceSeconds: number, nowMs: number): boolean {
  if (time === undefined || !/^[1-9]\d{0,11}$/.test(time)) return false;
  return Math.abs(nowMs - Number(time) * 1000) <= toleranceSeconds * 1000;
}
