// Logical messages: the application's by prefix, domain events of the outbox without a table, and lineage. All other ones
// of the database come too, for publications do not filter them, and are dropped here.

import { PoisonError } from "../../../errors.ts";
import { domainEvent, malformed, type OutboxEntry } from "../../../event/domain-event.ts";
import { carriedLineage, LINEAGE_PREFIX } from "../../../event/lineage.ts";
import type { Domain, Marker, Unplaced } from "../../../event/source-event.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import type { OutboxConfig } from "../options/config.ts";
import { type FrameReader, timeText } from "./frame-reader.ts";
import { memberText } from "./json-member.ts";
import type { PoisonRow, Sequencer } from "./sequencer.ts";

/** The prefix of what event triggers say of DDL. Always read: whoever made the triggers wants to hear of it. */
export const DDL_PREFIX = "millrace.ddl";

/** The prefix of a domain event that is written without a table. */
export const OUTBOX_PREFIX = "millrace.outbox";

export interface LogicalMessageOptions {
  readonly source: SourceId;
  /** The prefixes of the messages that become events. */
  readonly prefixes: readonly string[];
  /** Undefined when this source carries none; its messages are read where it has no table. */
  readonly outbox: OutboxConfig | undefined;
  /** What lineage is sealed with. */
  readonly lineageKey: string;
  /** Called at a message of an outbox that has a table: any role may write one, so none is an event there. */
  readonly onUnreadMessage: () => void;
  /** The database's encoding, as Postgres names it: messages come in it, for nobody converts them. */
  readonly encoding: string;
}

const EMPTY = Buffer.alloc(0);
const TRANSACTIONAL = 1;
/** Tab, line feed, carriage return. */
const SPACES: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0d]);
/** In the frame, behind its tag and two LSNs: when the server sent it. */
const SEND_TIME_AT = 17;
const utf8 = new TextDecoder("utf-8", { fatal: true });
/** Keeps a byte order mark: it is a letter of the text like any other. */
const letters = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class LogicalMessages {
  readonly #source: SourceId;
  readonly #lineageKey: string;
  readonly #onUnreadMessage: (() => void) | undefined;
  readonly #encoding: string;
  /** With the zero byte that ends each. */
  readonly #prefixes: ReadonlyMap<string, Buffer>;

  constructor({ source, prefixes, outbox, lineageKey, onUnreadMessage, encoding }: LogicalMessageOptions) {
    this.#source = source;
    this.#lineageKey = lineageKey;
    this.#onUnreadMessage = outbox?.table !== undefined ? onUnreadMessage : undefined;
    this.#encoding = encoding;
    const read = [...prefixes, LINEAGE_PREFIX, DDL_PREFIX, ...(outbox === undefined ? [] : [OUTBOX_PREFIX])];
    this.#prefixes = new Map(read.map((prefix) => [prefix, Buffer.from(`${prefix}\0`)]));
  }

  /**
   * @param reader behind the message's tag
   * @param poison stands in the place of a message that cannot be understood
   * @param tooLarge why its content is not there
   */
  decode(
    reader: FrameReader,
    sequencer: Sequencer,
    poison: (prefix: string, error: PoisonError) => PoisonRow,
    tooLarge: PoisonError | undefined,
  ): void {
    const transactional = (reader.uint8() & TRANSACTIONAL) !== 0;
    const high = reader.uint32();
    const low = reader.uint32();
    const prefix = this.#known(reader);
    if (prefix === undefined) return;
    const content = tooLarge === undefined ? bytesOf(reader) : EMPTY;
    if (!transactional) {
      // Ours belong to a transaction: outside of one they say nothing.
      if (prefix === LINEAGE_PREFIX || prefix === OUTBOX_PREFIX) return;
      const sent = sendTime(reader);
      sequencer.standalone(high, low, (position) =>
        tooLarge === undefined ? this.#event(prefix, content, position, sent) : poison(prefix, tooLarge),
      );
      return;
    }
    if (prefix === OUTBOX_PREFIX && this.#onUnreadMessage !== undefined) {
      this.#onUnreadMessage();
      return;
    }
    const position = sequencer.nextMessage(high, low);
    try {
      if (tooLarge !== undefined) throw tooLarge;
      if (prefix === LINEAGE_PREFIX) {
        const seal = { key: this.#lineageKey, transaction: sequencer.transactionId };
        sequencer.carry(carriedLineage(content.toString("utf8"), seal));
      } else if (prefix === OUTBOX_PREFIX) {
        sequencer.push(position, outboxMessage(utf8Of(content, this.#encoding)));
      } else sequencer.push(position, this.#event(prefix, content, position, undefined));
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
      sequencer.push(position, poison(prefix, error));
    }
  }

  /** The message's prefix, when it is one to read: it is found without making a text of each. */
  #known(reader: FrameReader): string | undefined {
    const { bytes, at, end } = reader;
    for (const [prefix, text] of this.#prefixes) {
      if (text.length > end - at || text.compare(bytes, at, at + text.length) !== 0) continue;
      reader.skip(text.length);
      return prefix;
    }
    return undefined;
  }

  /** @param sent when, of a message outside of transactions */
  #event(prefix: string, content: Buffer, position: string, sent: string | undefined): Unplaced<Marker> {
    return {
      type: "marker",
      kind: { prefix },
      id: `${this.#source}.${position}`,
      time: sent,
      data: Buffer.from(
        JSON.stringify({ prefix, transactional: sent === undefined, ...contentOf(content, this.#encoding) }),
      ),
    };
  }
}

function bytesOf(reader: FrameReader): Buffer {
  const size = reader.uint32();
  const from = reader.at;
  reader.skip(size);
  return reader.bytes.subarray(from, from + size);
}

/** As text where it is one, else as base64: a message may hold any bytes. */
function contentOf(
  content: Buffer,
  encoding: string,
): { readonly content: string } | { readonly contentBase64: string } {
  try {
    const text = utf8Of(content, encoding);
    if (text !== undefined) return { content: letters.decode(text) };
  } catch {
    // no UTF-8
  }
  return { contentBase64: content.toString("base64") };
}

/**
 * What may be a text, as UTF-8. All encodings of Postgres hold ASCII. In LATIN1 every byte is a letter, but a text has none of
 * its control letters. Of other encodings nothing is guessed.
 */
function utf8Of(content: Buffer, encoding: string): Buffer | undefined {
  if (encoding === "UTF8" || encoding === "SQL_ASCII" || content.every((byte) => byte < 0x80)) return content;
  const isText =
    encoding === "LATIN1" && content.every((byte) => byte >= 0xa0 || (byte >= 0x20 && byte < 0x7f) || SPACES.has(byte));
  return isText ? Buffer.from(content.toString("latin1"), "utf8") : undefined;
}

/** @throws PoisonError OUTBOX_MALFORMED */
function outboxMessage(content: Buffer | undefined): Unplaced<Domain> {
  if (content === undefined) throw malformed("the message is no text in the database's encoding");
  let entry: Partial<Record<keyof OutboxEntry, unknown>> | null;
  try {
    entry = JSON.parse(utf8.decode(content)) as typeof entry;
  } catch {
    throw malformed("the message is not JSON"); // the parser's own words would quote it
  }
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) throw malformed("the message is no object");
  const { id, aggregatetype, aggregateid, type, headers } = entry;
  const payload = memberText(content, "payload");
  if (payload === undefined) throw malformed("it has no payload");
  return domainEvent({ id, aggregatetype, aggregateid, type, headers, payload });
}

function sendTime({ bytes, from }: FrameReader): string {
  return timeText(bytes.readUInt32BE(from + SEND_TIME_AT), bytes.readUInt32BE(from + SEND_TIME_AT + 4));
}

/**
 * What says, once, that a message of the outbox is no event where the outbox has a table: any role may write one, and any
 * number of them.
 */
export function tellUnread(source: SourceId, log: Logger): () => void {
  let told = false;
  return () => {
    if (told) return;
    told = true;
    log.warn(
      "source_notice",
      { source, code: "OUTBOX_MESSAGE_UNREAD" },
      'messages of the outbox are no events here, where it has a table, for any role may write them: let millrace.emit write rows, or set outbox: { mode: "message" }',
    );
  };
}
