// Slices of collections: docs/decisions/0020 has the argument. A slice needs no snapshot of the server: of the documents that it
// has read between two times of the log those are left that no event between them is about.

import type { MongoClient } from "mongodb";
import { ConfigError, PoisonError, TransientError } from "../../../errors.ts";
import { formatCollectionName } from "../../../event/collection-name.ts";
import type { Position } from "../../../event/position.ts";
import { positionsAt } from "../../../event/positions.ts";
import type { ChangeKind, CopiedRow } from "../../../event/source-event.ts";
import type { CopyTarget, RowCopier, Slice, SliceRequest } from "../../capabilities.ts";
import { translateError } from "../client/errors.ts";
import { type ClusterTime, formatPosition, isEarlier, type Place, parsePosition } from "../client/position.ts";
import { placeOf } from "../decode/namespaces.ts";
import type { RawValue } from "../decode/raw-event.ts";
import { readCollectionId, readCollections } from "../facts/collection-facts.ts";
import { readTime } from "../facts/server-facts.ts";
import { collectionFilter } from "../options/collection-pattern.ts";
import type { MongoConfig } from "../options/config.ts";
import { filterOf } from "./asked-documents.ts";
import { readDocuments } from "./documents.ts";
import { checkId, endOf, placeBehind, textOf } from "./id-place.ts";
import { OplogBound } from "./oplog-bound.ts";
import { idOf, RowBody } from "./row-body.ts";

/** The reading that the copy stands beside. */
export interface ReadLog {
  /** Of the newest event that was handed out. */
  readonly place: Place;
  /** Of a sharded cluster: events of one time may come one after another from several shards. */
  readonly sharded: boolean;
  /** Somebody will wait for it. */
  hurry(): void;
  /** As soon as all up to this time was read, a place at or behind it is handed out. */
  ask(time: ClusterTime): void;
}

export interface CopierOptions {
  /** The one by which the stream is read: what that was told of the cluster's time holds for the copy. */
  readonly client: MongoClient;
  readonly config: MongoConfig;
  readonly log: ReadLog;
}

interface Read {
  readonly rows: readonly CopiedRow[];
  readonly ids: readonly RawValue[];
  readonly isLast: boolean;
  /** As `placeBehind` takes it. */
  readonly upTo: string | undefined;
}

export class MongoCopier implements RowCopier {
  readonly #options: CopierOptions;
  readonly #body: RowBody;
  readonly #bound: OplogBound;
  /** One object for all rows of a collection. */
  #kind: ChangeKind | undefined;

  /** Absent where the configuration wants nothing to be copied once. No two collections have the same UUID, of whichever cluster. */
  readonly initial?: NonNullable<RowCopier["initial"]>;

  constructor(options: CopierOptions) {
    this.#options = options;
    const { backfill } = options.config;
    const copied = collectionFilter(backfill);
    if (backfill.length > 0)
      this.initial = async () => ({
        origin: undefined,
        targets: (await this.targets()).filter(({ collection }) => copied(collection)),
      });
    this.#body = new RowBody(options.config.encoding);
    this.#bound = new OplogBound(options.client);
  }

  /** Views and time series have no change streams: nothing of them is copied either. */
  async targets(): Promise<readonly CopyTarget[]> {
    const { client, config } = this.#options;
    try {
      const found = await readCollections(client, config);
      return found
        .map(({ id, namespace, name }) => ({ id, namespace, collection: name }))
        .sort((a, b) => order(a.namespace, b.namespace) || order(a.collection, b.collection));
    } catch (error) {
      throw translateError(error);
    }
  }

  /** By the server's own count of the collection. */
  async estimate({ namespace, collection }: CopyTarget): Promise<number | undefined> {
    try {
      return await this.#options.client.db(namespace).collection(collection).estimatedDocumentCount();
    } catch (error) {
      throw translateError(error);
    }
  }

  async readSlice(request: SliceRequest): Promise<Slice> {
    const { log } = this.#options;
    const { target } = request;
    try {
      await this.#bound.check(log.place.time);
      log.hurry();
      // All that was handed out by now, with what was looked up for it, was committed up to here.
      const since = later(await this.#time(), log.place.time);
      const { rows, ids, isLast, upTo } = await this.#read(request, since);
      await this.#checkThere(target);
      const passed = this.#passed(later(await this.#time(), since));
      log.ask(passed);
      log.hurry();
      return {
        ...{ rows, isLast, version: undefined, readsKeys: true, notBefore: this.#notBefore(passed) },
        after: (index) => placeBehind(target, ids[index] as RawValue, upTo),
        includes: ({ position }) => this.#includes(since, position as Position),
      };
    } catch (error) {
      throw translateError(error);
    }
  }

  async #read(request: SliceRequest, since: ClusterTime): Promise<Read> {
    const { target, keys, maxRows, maxBytes, backfill, signal } = request;
    const upTo = endOf(request) ?? (keys === undefined ? await this.#newest(target, since, signal) : undefined);
    const filter = filterOf(request, upTo);
    if (filter === undefined) return { rows: [], ids: [], isLast: true, upTo };
    const wanted = keys && new Set(keys);
    const of = { kind: this.#kindOf(target), backfill, collectionId: target.id, time: timeOf(since) };
    const rows: CopiedRow[] = [];
    const ids: RawValue[] = [];
    let [bytes, read] = [0, 0];
    const asked = { target, filter, limit: maxRows, since, signal };
    for await (const { documents, ended } of readDocuments(this.#options.client, asked)) {
      for (const document of documents) {
        read++;
        const { id, body } = this.#encoded(target, document);
        if (wanted?.has(body.key) === false) continue; // the same to the collation, and another one to the events
        rows.push({ type: "copied", ...of, ...body });
        ids.push({ ...id, bytes: Buffer.from(id.bytes.subarray(id.from, id.to)), from: 0, to: id.to - id.from });
        bytes += body.data.length;
        const isLast = ended && document === documents.at(-1) && read < maxRows;
        if (bytes >= maxBytes) return { rows, ids, isLast, upTo };
      }
    }
    return { rows, ids, isLast: read < maxRows, upTo };
  }

  /** The largest `_id` of all documents, for `endOf`; undefined where there are none. */
  async #newest(target: CopyTarget, since: ClusterTime, signal: AbortSignal): Promise<string | undefined> {
    const asked = { target, filter: {}, down: true, limit: 1, since, signal };
    for await (const { documents } of readDocuments(this.#options.client, asked)) {
      const [newest] = documents;
      if (newest === undefined) return undefined;
      checkId(target, idOf(newest));
      return textOf(idOf(newest));
    }
    return undefined;
  }

  #encoded(
    target: CopyTarget,
    document: Buffer,
  ): { readonly id: RawValue; readonly body: Pick<CopiedRow, "lane" | "key" | "data"> } {
    try {
      const id = idOf(document);
      checkId(target, id);
      return { id, body: this.#body.write(document, id) };
    } catch (error) {
      if (!(error instanceof PoisonError)) throw error;
      const what = `a document of ${formatCollectionName(target)} cannot be copied: ${error.message}`;
      throw new ConfigError("BACKFILL_ROW_UNREADABLE", what, {
        hint: "Mend the document, or go on without the collection: millrace backfill resume <source> --without <collection>",
        cause: error,
      });
    }
  }

  /** By its name alone another collection may have been read. @throws TransientError BACKFILL_COLLECTION_GONE */
  async #checkThere(target: CopyTarget): Promise<void> {
    const { namespace, collection, id } = target;
    if ((await readCollectionId(this.#options.client, namespace, collection)) === id) return;
    const what = `${formatCollectionName(target)} was dropped, renamed or replaced while it was read`;
    throw new TransientError("BACKFILL_COLLECTION_GONE", what, {
      hint: "Nothing to do: the collections are looked for again.",
    });
  }

  /**
   * What must be reached for all up to a time to be in the stream. On one shard what happened at a time is in its log at once; of
   * several the next time alone says that all of them are past it.
   */
  #passed({ t, i }: ClusterTime): ClusterTime {
    return this.#options.log.sharded ? { t, i: i + 1 } : { t, i };
  }

  #notBefore(time: ClusterTime): Slice["notBefore"] {
    const { history } = this.#options.log.place;
    return positionsAt({ position: formatPosition({ history, time, ordinal: 0, idle: 0, token: undefined }, true) });
  }

  /**
   * An update may have brought the document as it was when it was looked up, which may be later than what was read: then every
   * event takes its document out.
   */
  #includes(since: ClusterTime, position: Position): boolean {
    const { config, log } = this.#options;
    if (config.images.after === "lookup") return false;
    const { history, time } = parsePosition(position);
    return history === log.place.history && !isEarlier(since, time);
  }

  #kindOf({ namespace, collection }: CopyTarget): ChangeKind {
    const known = this.#kind;
    if (known?.namespace === namespace && known.collection === collection) return known;
    const place = placeOf(namespace, collection);
    this.#kind = { namespace, collection, op: "read", version: undefined, place };
    return this.#kind;
  }

  /** What is committed, or written, by now. */
  async #time(): Promise<ClusterTime> {
    const time = await readTime(this.#options.client);
    return time ?? this.#options.log.place.time;
  }
}

function later(a: ClusterTime, b: ClusterTime): ClusterTime {
  return isEarlier(a, b) ? b : a;
}

function order(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/** RFC 3339 with microseconds, of which the cluster's time has none. */
function timeOf({ t }: ClusterTime): string {
  return new Date(t * 1000).toISOString().replace("Z", "000Z");
}
