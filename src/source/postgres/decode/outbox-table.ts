// The outbox's table: each row inserted into it is a domain event, and no change. What else happens to it is nobody's news.

import { domainEvent, malformed, type OutboxEntry } from "../../../event/domain-event.ts";
import type { Domain, Unplaced } from "../../../event/source-event.ts";
import type { OutboxConfig } from "../options/config.ts";
import { isOwnOutbox, outboxPatterns } from "../options/table-pattern.ts";
import type { FrameReader } from "./frame-reader.ts";
import type { Relation } from "./table.ts";
import { NULL, type Tuple } from "./tuple.ts";

/** Debezium's names, so that its tables work as they are. `headers` may be left out. */
export const OUTBOX_COLUMNS = ["id", "aggregatetype", "aggregateid", "type", "payload"] as const;

const JSON_TYPES: ReadonlySet<number> = new Set([114, 3802]);
const JSON_NULL = Buffer.from("null");

/** Whether what is inserted into this table are events of the outbox. */
export function isOutboxTable(
  outbox: OutboxConfig | undefined,
  table: { readonly schema: string; readonly name: string },
): boolean {
  if (outbox === undefined) return false;
  return outboxPatterns(outbox.table).some(({ matches }) => matches(table.schema, table.name));
}

/** One version of it, as the log describes it. */
export class OutboxTable {
  readonly namespace: string;
  readonly collection: string;
  readonly columnCount: number;
  /** No column of it can be hidden: an event says all. */
  readonly hides: boolean = false;
  readonly #places: ReadonlyMap<string, number>;
  readonly #payloadIsJson: boolean;
  /** Millrace's own has no partitions, and its rows are deleted at once. */
  readonly #mayMove: boolean;

  constructor({ namespace, name, columns }: Relation) {
    this.namespace = namespace;
    this.collection = name;
    this.columnCount = columns.length;
    this.#mayMove = !isOwnOutbox({ schema: namespace, name });
    this.#places = new Map(columns.map((column, place) => [column.name, place]));
    const payload = columns.find((column) => column.name === "payload");
    this.#payloadIsJson = payload !== undefined && JSON_TYPES.has(payload.type);
  }

  /**
   * Which row it is. Where an UPDATE moves a row to another partition, its delete is followed by its insert.
   * @param transaction the row's
   * @returns undefined where rows do not move
   */
  identity({ bytes }: FrameReader, row: Tuple, transaction: string): string | undefined {
    const place = this.#places.get("id");
    if (!this.#mayMove || place === undefined || row.kinds[place] === NULL) return undefined;
    return `${transaction} ${this.namespace}.${this.collection} ${bytes.toString("utf8", row.from[place], row.to[place])}`;
  }

  /** @throws PoisonError OUTBOX_MALFORMED */
  event({ bytes }: FrameReader, row: Tuple): Unplaced<Domain> {
    const text = (column: keyof OutboxEntry): string | undefined => {
      const place = this.#places.get(column);
      if (place === undefined || row.kinds[place] === NULL) return undefined;
      return bytes.toString("utf8", row.from[place], row.to[place]);
    };
    for (const column of OUTBOX_COLUMNS) {
      if (!this.#places.has(column)) throw malformed(`its table has no column ${column}`);
    }
    const headers = text("headers");
    return domainEvent({
      id: text("id"),
      aggregatetype: text("aggregatetype"),
      aggregateid: text("aggregateid"),
      type: text("type"),
      payload: this.#payload(bytes, row),
      headers: headers === undefined ? undefined : parse(headers, "headers"),
    });
  }

  /** A copy: the frame is used again. */
  #payload(bytes: Buffer, row: Tuple): Uint8Array {
    const place = this.#places.get("payload") as number;
    if (row.kinds[place] === NULL) return JSON_NULL;
    const payload = bytes.subarray(row.from[place], row.to[place]);
    if (!this.#payloadIsJson) parse(payload.toString("utf8"), "payload");
    return Uint8Array.from(payload);
  }
}

/** The parser's own words would quote the row. */
function parse(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed(`its ${what} is not JSON`);
  }
}
