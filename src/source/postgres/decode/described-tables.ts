// The tables that the log has described, as rows are decoded by: the newest description of each, by its oid.

import { isDeepStrictEqual } from "node:util";
import { BugError } from "../../../errors.ts";
import type { CollectionVersion } from "../../../event/source-event.ts";
import { type TableDescription, unknownTable } from "../client/catalog.ts";
import type { CompositeState } from "../client/composite-states.ts";
import type { OutboxConfig } from "../options/config.ts";
import type { RuleBook } from "../options/rule-book.ts";
import type { FrameReader } from "./frame-reader.ts";
import { isOutboxTable, OutboxTable } from "./outbox-table.ts";
import { type Relation, Table } from "./table.ts";

export interface Described {
  /** Without the types whose attributes may have had other names: their values are the text that Postgres prints. */
  readonly description: TableDescription;
  readonly version: CollectionVersion;
  /** All that its columns reach, whether they count or not. */
  readonly composites: readonly CompositeState[];
  /** Whether some of them do not count. */
  readonly isDoubtful: boolean;
}

export interface DescribedTable {
  /** As the log described it. */
  readonly relation: Relation | undefined;
  /** The Relation message, to know an unchanged one by. */
  readonly raw: Buffer;
  readonly description: TableDescription;
  /** The revision of what is known to be hidden of it. */
  readonly revision: number;
  /** The types made of attributes that its columns reach. */
  readonly composites: readonly CompositeState[];
  /** Whether values of some of them are text, as the names of their attributes are not certain. */
  readonly isDoubtful: boolean;
  /** Undefined when the table is in the publication but not read. */
  readonly table: Table | undefined;
  /** Its rows are no changes but domain events. */
  readonly outbox: OutboxTable | undefined;
}

/** What a table is compiled from. */
export type Definition = Pick<Described, "description" | "version"> & Partial<Described>;

export class DescribedTables {
  readonly #rules: RuleBook;
  readonly #outbox: OutboxConfig | undefined;
  readonly #tables = new Map<number, DescribedTable>();
  readonly #domains = new Map<number, string>();
  readonly #raws = new WeakMap<Relation, Buffer>();

  /** @param rules which tables are read, and what of them */
  constructor(rules: RuleBook, outbox: OutboxConfig | undefined) {
    this.#rules = rules;
    this.#outbox = outbox;
  }

  /** @throws BugError RELATION_UNKNOWN */
  get(oid: number): DescribedTable {
    const described = this.#tables.get(oid);
    if (described === undefined) throw new BugError("RELATION_UNKNOWN", `the log never described relation ${oid}`);
    return described;
  }

  /** A Type message. */
  readType(reader: FrameReader): void {
    const oid = reader.uint32();
    // An empty name means pg_catalog: a domain over a built-in type, for other built-in types are not announced.
    if (reader.text() === "") this.#domains.set(oid, reader.text());
  }

  /** A Relation message. @returns a table that the catalog must describe: `define` it before its first row */
  readRelation(reader: FrameReader): Relation | undefined {
    const raw = Buffer.from(reader.bytes.subarray(reader.at, reader.end));
    const relation = readRelation(reader, this.#domains);
    this.#raws.set(relation, raw);
    const { oid, namespace, name } = relation;
    const isOutbox = isOutboxTable(this.#outbox, { schema: namespace, name });
    const outbox = isOutbox ? new OutboxTable(relation) : undefined;
    if (outbox === undefined && this.#rules.of(namespace, name) !== undefined) return relation;
    const unread = { relation: undefined, composites: [], isDoubtful: false, table: undefined };
    this.#tables.set(oid, { ...unread, raw, description: unknownTable, revision: 0, outbox });
    return undefined;
  }

  /** Compiles a table; one that is as it was stays compiled. @throws ConfigError TABLE_KEY_HIDDEN */
  define(relation: Relation, { description, version, composites = [], isDoubtful = false }: Definition): void {
    const known = this.#tables.get(relation.oid);
    const rules = this.#rules.for(relation, description.columns);
    const revision = this.#rules.revision(relation.oid);
    const raw = this.#raws.get(relation) ?? Buffer.alloc(0);
    const isKnown =
      known?.raw.equals(raw) === true &&
      known.revision === revision &&
      isDeepStrictEqual(known.description, description);
    const table = isKnown ? known.table : rules && new Table(relation, description, rules, version);
    const described = { relation, raw, description, revision, composites, isDoubtful, table, outbox: undefined };
    this.#tables.set(relation.oid, described);
  }
}

/**
 * Reads how the log describes a table, from a Relation message.
 * @param domains names of base types by the oid of a domain, as the log has told them
 */
function readRelation(reader: FrameReader, domains: ReadonlyMap<number, string>): Relation {
  const oid = reader.uint32();
  const namespace = reader.text() || "pg_catalog";
  const name = reader.text();
  const identity = String.fromCharCode(reader.uint8());
  const columns = Array.from({ length: reader.uint16() }, () => {
    const flags = reader.uint8();
    const column = reader.text();
    const type = reader.uint32();
    const typmod = reader.uint32() | 0;
    return { name: column, identity: (flags & 1) === 1, type, typmod, typeName: domains.get(type) };
  });
  return { oid, namespace, name, identity, columns };
}
