// Decodes frames without a server, and shows events as a test wants to compare them.

import type { Position } from "../../../src/event/position.ts";
import type { CollectionVersion } from "../../../src/event/source-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { unknownTable } from "../../../src/source/postgres/client/catalog.ts";
import { boundaryBefore } from "../../../src/source/postgres/client/position.ts";
import { Decoder } from "../../../src/source/postgres/decode/decoder.ts";
import { RuleBook } from "../../../src/source/postgres/options/rule-book.ts";
import { NO_RULES, type RulesOf } from "../../../src/source/postgres/options/table-rules.ts";
import type { SourceMessage } from "../../../src/source/source.ts";
import type { ToldMessage } from "../../../src/worker/tell-gaps.ts";
import { type EncodedMessage, encoded } from "../bus/encoded.ts";

export interface DecodeOptions {
  readonly from?: Position;
  /** Under full replica identity, by table. */
  readonly primaryKey?: readonly string[];
  /** All tables, as they are, by default. */
  readonly rulesOf?: RulesOf;
  readonly messages?: readonly string[];
  /** Whether the outbox is `millrace.outbox`. */
  readonly outbox?: boolean | "messages";
  readonly onUnreadMessage?: () => void;
}

/** A version that the stream was told of. */
export const knownVersion: CollectionVersion = {
  schema: { id: "16400", namespace: "public", collection: "orders", identity: "key", key: [], columns: [] },
  uri: "kv:millrace_schemas/shop.0123456789abcdef",
};

/** All messages of some frames; each frame is overwritten behind the decoder, as the driver does it. */
export function decodeFrames(frames: readonly Buffer[], options: DecodeOptions = {}): EncodedMessage[] {
  const decoder = new Decoder({
    source: "shop" as SourceId,
    history: 1,
    from: options.from ?? boundaryBefore(1, 1n),
    rules: new RuleBook(options.rulesOf ?? (() => NO_RULES)),
    messages: options.messages ?? [],
    outbox: options.outbox
      ? {
          table: options.outbox === true ? { schema: "millrace", name: "outbox" } : undefined,
          keepMs: undefined,
          setting: options.outbox === true ? "delete" : "message",
        }
      : undefined,
    lineageKey: "of the tests",
    onUnreadMessage: options.onUnreadMessage ?? (() => {}),
  });
  const messages: SourceMessage[] = [];
  for (const frame of frames) {
    const copy = Buffer.from(frame);
    const question = decoder.decode(copy, 0, copy.length);
    const description = { ...unknownTable, primaryKey: options.primaryKey ?? [] };
    if (question !== undefined) decoder.define(question.relation, { description, version: knownVersion });
    copy.fill(0xee);
    messages.push(...decoder.sequencer.take());
  }
  return encoded("shop" as SourceId, asTold(messages));
}

/** As the stream has them that was told of all else. */
export function asTold(messages: readonly SourceMessage[]): readonly ToldMessage[] {
  return messages.filter(
    (message) => message.type !== "described" && message.type !== "began" && message.type !== "lost",
  );
}

/** A message as the subscriber sees it, or what else it is. */
export function shown(message: EncodedMessage): Record<string, unknown> {
  if (message.type !== "message") return { type: message.type, position: message.position };
  return {
    position: message.position,
    subject: message.subject,
    body: JSON.parse(bodyText(message)),
  };
}

export function bodyText(message: EncodedMessage): string {
  if (message.type !== "message") throw new Error(`a ${message.type} has no body`);
  return Buffer.from(message.data).toString("utf8");
}

/** The header lines of a message, by name. */
export function headers(message: EncodedMessage): Record<string, string> {
  if (message.type !== "message") throw new Error(`a ${message.type} has no headers`);
  const lines = message.head.split("\r\n").filter((line) => line !== "");
  return Object.fromEntries(lines.map((line) => line.split(": ") as [string, string]));
}
