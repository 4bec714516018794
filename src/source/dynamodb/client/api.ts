// What is asked of DynamoDB and its streams, as few calls as there are. `connectDynamo` makes it of the SDK; a test has its own.

import type { RawRecord } from "../decode/record.ts";
import type { ListedShard } from "../shards/shard-graph.ts";
import type { Item } from "../values/attribute.ts";

/** What a record's images hold. */
export type ViewType = "NEW_AND_OLD_IMAGES" | "NEW_IMAGE" | "OLD_IMAGE" | "KEYS_ONLY";

/** What the values of a key attribute are: texts, numbers or bytes. */
export type KeyType = "S" | "N" | "B";

export interface KeyAttribute {
  readonly name: string;
  readonly type: KeyType;
}

export interface TableFacts {
  readonly table: string;
  /** In the order of the key schema. */
  readonly keys: readonly KeyAttribute[];
  /** The server's own name of this life of the table. */
  readonly id: string | undefined;
  readonly arn: string;
  /** Its newest stream, which may be switched off; undefined where it never had one, or none is left. */
  readonly stream: { readonly arn: string; readonly label: string } | undefined;
  /** Whether its changes go into that stream. */
  readonly enabled: boolean;
  /** `ACTIVE`, `CREATING` and others; absent where the server does not say. */
  readonly status?: string | undefined;
  /** About how many items it holds: the server counts them some times a day. Absent where it does not say. */
  readonly items?: number | undefined;
  /** Of a global table, the regions of its replicas. */
  readonly replicas?: readonly string[];
}

export interface StreamPage {
  readonly view: ViewType | undefined;
  /** Key attributes in the order of the key schema. */
  readonly keyNames: readonly string[];
  /** Switched off: its shards are closed, and can be read for a day. */
  readonly disabled: boolean;
  readonly shards: readonly ListedShard[];
  /** Where the next page goes on; undefined on the last one. */
  readonly next: string | undefined;
}

export type From =
  | { readonly at: "horizon" | "latest" }
  /** At or behind a sequence number. */
  | { readonly at: "number" | "behind"; readonly number: string };

export interface RecordsPage {
  readonly records: readonly RawRecord[];
  /** Of the answer. */
  readonly bytes: number;
  /** Undefined: the shard is closed, and read to its end. */
  readonly next: string | undefined;
  /** When the server answered, by its own clock; ms since 1970. Absent where it does not say. */
  readonly at?: number | undefined;
}

/** Where a table is read: one of its segments, of as many as were chosen when it was begun. */
export interface ScanFrom {
  readonly segment: number;
  readonly of: number;
  /** The key behind which it goes on; undefined from the first item on. */
  readonly after: Item | undefined;
  /** Items, at most; the server ends a page at a megabyte too. */
  readonly limit: number;
}

export interface ScanPage {
  readonly items: readonly Item[];
  /** The key behind which the next page goes on; undefined on the last one. There may be one behind a page without items. */
  readonly next: Item | undefined;
  /** Read capacity units that it took; undefined where the server does not say. */
  readonly units: number | undefined;
  /** Of the answer. */
  readonly bytes: number;
  /** When the server answered, by its own clock, whole seconds; ms since 1970. Undefined where it does not say. */
  readonly at: number | undefined;
}

/** Each call throws a ServerError, or one of ours where nobody can go on. */
export interface DynamoApi {
  /** @throws ServerError `unknown` where there is none */
  describeTable(table: string): Promise<TableFacts>;
  listTables(
    after: string | undefined,
  ): Promise<{ readonly tables: readonly string[]; readonly next: string | undefined }>;
  /** What a table is tagged with. @param arn of the table */
  tags(
    arn: string,
    after: string | undefined,
  ): Promise<{ readonly tags: Readonly<Record<string, string>>; readonly next: string | undefined }>;
  /** The attribute by which items expire; undefined where none do. */
  expiry(table: string): Promise<string | undefined>;
  /** A table's streams that can still be read, those of tables of this name that were deleted included. */
  listStreams(
    table: string,
    after: string | undefined,
  ): Promise<{
    readonly streams: readonly { readonly arn: string; readonly label: string }[];
    readonly next: string | undefined;
  }>;
  /** @param childrenOf only these; a server may take no notice of it */
  describeStream(
    arn: string,
    options: { readonly after?: string | undefined; readonly childrenOf?: string },
  ): Promise<StreamPage>;
  iterator(arn: string, shard: string, from: From): Promise<string>;
  records(iterator: string, limit: number): Promise<RecordsPage>;
  /** Items at rest: each as all writes that were acknowledged before have left it. @throws ServerError `unknown` where there is no table */
  scan(table: string, from: ScanFrom): Promise<ScanPage>;
  close(): void;
}
