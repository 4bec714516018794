// Which version of each collection the stream was told of, kept in the bucket `millrace_schemas` across restarts.
// What is noted is written ahead of its announcement; docs/decisions/0005 has the argument.

import { createHash } from "node:crypto";
import { z } from "zod";
import type { StateStore } from "../bus/state-store.ts";
import { BugError, FencedError } from "../errors.ts";
import type { CollectionSchema } from "../event/collection-schema.ts";
import { canonicalJson } from "../event/lane.ts";
import type { Position } from "../event/position.ts";
import { comparePlace, type Positions, WHOLE } from "../event/positions.ts";
import type { CollectionVersion } from "../event/source-event.ts";
import type { SourceId } from "../event/source-id.ts";
import { sameColumn, schemaChanges } from "./changes.ts";
import { BUCKET } from "./told-columns.ts";

/** Announcements kept of one collection that the stream holds for certain: a bus that lost messages sends the source back. */
const MAX_KEPT = 4;
/** The most bytes of the index as JSON: the longest known are forgotten first, and announced again when they are next seen. */
const MAX_INDEX_BYTES = 256 * 1024;

/** Where a version was announced, and its name; the partition where the source has some. */
const noted = z.tuple([z.string().transform((text) => text as Position), z.string(), z.string().optional()]);
type Noted = z.infer<typeof noted>;

/** One entry a source, below its id; each version is an entry of its own, below `<source>.<hash>`, that never changes. */
const indexSchema = z.object({
  /** The lease of who wrote it last: an older worker that wakes up must not. */
  lease: z.number(),
  /** By the collection's id; what was announced last stands last. */
  announced: z.array(z.tuple([z.string(), z.array(noted).readonly()])),
});
type Index = z.infer<typeof indexSchema>;

const versionSchema: z.ZodType<CollectionSchema> = z.object({
  id: z.string(),
  namespace: z.string(),
  collection: z.string(),
  identity: z.enum(["key", "index", "full", "nothing"]),
  key: z.array(z.string()),
  columns: z.array(
    z.object({
      name: z.string(),
      number: z.int().nullable(),
      type: z.string(),
      nullable: z.boolean().nullable(),
      value: z.record(z.string(), z.unknown()),
    }),
  ),
});

export interface SchemaBookOptions {
  readonly source: SourceId;
  readonly store: Pick<StateStore, "get" | "put">;
  /** The lease of the writer whose announcements are noted. */
  readonly lease: number;
}

export class SchemaBook {
  readonly #options: SchemaBookOptions;
  readonly #stored = new Set<string>();
  #announced = new Map<string, readonly Noted[]>();
  /** Up to here the stream holds all that was handed out. */
  #acknowledged: Positions | undefined;
  /** By collection: what the stream was told last, so that one that is described again as it was needs no bus. */
  readonly #known = new Map<string, { readonly name: string; readonly schema: CollectionSchema }>();
  #revision = 0;
  /** Whether there is what is not stored. */
  #ahead = false;

  constructor(options: SchemaBookOptions) {
    this.#options = options;
  }

  /**
   * Begins a reading, and forgets what was noted behind the stream's end: it never got there.
   * @throws FencedError when a later worker keeps the book; TransientError
   */
  async open(stored: Positions | undefined): Promise<void> {
    const { source, store, lease } = this.#options;
    for (;;) {
      const entry = await store.get(source);
      const index = entry && parsed(indexSchema, entry.value, source);
      if (index !== undefined && index.lease > lease) throw this.#taken();
      this.#announced = upTo(index?.announced ?? [], stored);
      this.#acknowledged = stored;
      // Even when nothing is forgotten: from now on nobody who read it before can write it.
      const revision = await store.put(source, this.#index(), entry?.revision ?? 0);
      if (revision === undefined) continue;
      this.#revision = revision;
      return;
    }
  }

  /** The version of a collection that the stream was told of last. @throws TransientError */
  async newest(id: string): Promise<CollectionSchema | undefined> {
    const name = this.#announced.get(id)?.at(-1)?.[1];
    if (name === undefined) return undefined;
    const known = this.#known.get(id);
    if (known?.name === name) return known.schema;
    const schema = await this.#load(name);
    if (schema !== undefined) this.#known.set(id, { name, schema });
    return schema;
  }

  /**
   * Finds the version that a description is of, and gives it its `uri`.
   * @param position where the stream would be told of it; undefined where there is no place
   * @returns what the stream must be told there: `store` the book before; undefined when it is told already, or has no place
   * @throws TransientError
   */
  async describe(
    version: CollectionVersion,
    position: Position | undefined,
    partition?: string,
  ): Promise<Uint8Array | undefined> {
    const { id } = version.schema;
    const noted = this.#announced.get(id) ?? [];
    const newest = noted.at(-1)?.[1];
    const before = await this.newest(id);
    const schema = before === undefined ? version.schema : filledIn(version.schema, before);
    const name = `${this.#options.source}.${hashOf(schema)}`;
    version.uri = `${BUCKET}/${name}`;
    if (name !== newest) await this.#keep(name, schema);
    if (name === newest || position === undefined) return undefined;
    this.#known.set(id, { name, schema });
    this.#announced.delete(id); // behind all others: the longest known stand first
    this.#announced.set(id, [
      ...this.#needed(noted),
      partition === undefined ? [position, name] : [position, name, partition],
    ]);
    this.#ahead = true;
    const changes = before === undefined ? null : schemaChanges(before, schema);
    return Buffer.from(JSON.stringify({ version: name, ...schema, previous: newest ?? null, changes }));
  }

  /** Resolves when all is stored that the stream is to be told of, and not before may it be told. @throws FencedError, TransientError */
  async store(): Promise<void> {
    if (!this.#ahead) return;
    const { source, store } = this.#options;
    const revision = await store.put(source, this.#index(), this.#revision);
    if (revision === undefined) throw this.#taken();
    this.#revision = revision;
    this.#ahead = false;
  }

  /** The stream holds all up to here for certain: versions before the newest one there need not be known. */
  acknowledged(positions: Positions): void {
    this.#acknowledged = positions;
  }

  /**
   * Partitions are over: what was announced in them the stream holds for certain, and a later start no longer hears how far they
   * were. @throws FencedError, TransientError
   */
  async ended(partitions: ReadonlySet<string>): Promise<void> {
    for (const [id, noted] of this.#announced) {
      if (!noted.some(([, , partition]) => partition !== undefined && partitions.has(partition))) continue;
      const settled = noted.map((one): Noted => (partitions.has(one[2] ?? WHOLE) ? [one[0], one[1]] : one));
      this.#announced.set(id, settled);
      this.#ahead = true;
    }
    await this.store();
  }

  /** Those behind the acknowledged place may never reach the stream: a restart then needs the newest one at or before it. */
  #needed(noted: readonly Noted[]): readonly Noted[] {
    const place = this.#acknowledged;
    if (place === undefined) return noted;
    const newest = noted.findLastIndex((one) => isAt(one, place));
    return noted.slice(Math.max(0, newest + 1 - MAX_KEPT));
  }

  #index(): Index {
    let entries = [...this.#announced];
    let bytes = entries.reduce((sum, entry) => sum + JSON.stringify(entry).length, 0);
    while (bytes > MAX_INDEX_BYTES) {
      const [oldest, ...rest] = entries;
      bytes -= JSON.stringify(oldest).length;
      entries = rest;
    }
    this.#announced = new Map(entries);
    return { lease: this.#options.lease, announced: entries };
  }

  async #load(name: string): Promise<CollectionSchema | undefined> {
    const entry = await this.#options.store.get(name);
    return entry && parsed(versionSchema, entry.value, name);
  }

  async #keep(name: string, schema: CollectionSchema): Promise<void> {
    if (this.#stored.has(name)) return;
    await this.#options.store.put(name, schema, 0); // refused when it is there already
    this.#stored.add(name);
  }

  #taken(): FencedError {
    return new FencedError("SCHEMAS_FENCED", `another worker keeps the schema versions of ${this.#options.source}`, {
      hint: "nothing to do: that worker has taken over",
    });
  }
}

/** @throws BugError when something else is stored there */
function parsed<Stored>(schema: z.ZodType<Stored>, value: unknown, key: string): Stored {
  const stored = schema.safeParse(value);
  if (!stored.success) throw new BugError("MEMORY_UNREADABLE", `${BUCKET}/${key} is not what this version writes`);
  return stored.data;
}

/** One without a partition, of a source that has some, is of one that is over. */
function isAt([position, , partition]: Noted, reached: Positions): boolean {
  if (partition === undefined && !reached.has(WHOLE)) return true;
  return comparePlace({ partition, position }, reached) <= 0;
}

/** What was announced behind the stream's end never got there. */
function upTo(announced: Index["announced"], stored: Positions | undefined): Map<string, readonly Noted[]> {
  if (stored === undefined) return new Map();
  const there = announced.map(([id, noted]) => [id, noted.filter((one) => isAt(one, stored))] as const);
  return new Map(there.filter(([, noted]) => noted.length > 0));
}

/** What the catalog, which is of now, no longer tells of a column is as it was in the version before. */
function filledIn(schema: CollectionSchema, before: CollectionSchema): CollectionSchema {
  const columns = schema.columns.map((column) => {
    if (column.number !== null && column.nullable !== null) return column;
    const old = sameColumn(before, column);
    if (old === undefined || old.type !== column.type) return column;
    return { ...column, number: column.number ?? old.number, nullable: column.nullable ?? old.nullable };
  });
  return { ...schema, columns };
}

function hashOf(schema: CollectionSchema): string {
  return createHash("sha256").update(canonicalJson(schema)).digest("hex").slice(0, 16);
}
