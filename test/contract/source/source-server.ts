// What the contract of a source asks of a kind of database: whoever adds a connector writes this once, in a file of its own.

import type { Connector } from "../../../src/source/connector.ts";
import type { TestTime } from "../../support/virtual-time.ts";

export interface Row {
  /** Its primary key. */
  readonly key: string;
  /** Its other column, by default empty. */
  readonly text?: string;
}

/** One database with one collection in each of its lines; nothing was read from it yet. */
export interface SourceDatabase extends AsyncDisposable {
  /** The section of a source that reads it. */
  section(options?: { readonly onGap?: "stop" | "continue" }): unknown;
  /** Makes these rows in one transaction, in a line of the log; resolves when they are committed. */
  commit(line: number, rows: readonly Row[]): Promise<void>;
  /** Ends all connections of whoever reads it; new ones are taken at once. */
  cut(): Promise<void>;
  /** Lets the log forget all that it holds, though nobody was done with it; nobody reads it meanwhile. Never called where the server keeps it. */
  loseLog(): Promise<void>;
  /** Bytes of log that were sent to the reader so far. */
  sentBytes(): Promise<number>;
  /** What there is in it, and what it keeps for its readers: the same while nobody changes anything. */
  contents(): Promise<unknown>;
  /**
   * What a line is written to comes to its end, and the line goes on in another partition that begins behind it. Absent where
   * partitions never end.
   */
  readonly roll?: (line: number) => Promise<void>;
  /** Another version of the collection, from the next row on. Absent where the kind describes none. */
  readonly alter?: () => Promise<void>;
  /** Commits in the first line: a row of this key, one that can never travel, and another row. */
  poison(before: string, behind: string): Promise<void>;
  /** Brings about what the source goes on without, and tells in its notices. */
  leaveOut(): Promise<void>;
}

export interface SourceServer {
  readonly connector: Connector<unknown>;
  readonly time: TestTime;
  /** How many lines the log has, side by side, each with an order of its own. */
  readonly lines: number;
  /** Why its log cannot be lost, where it cannot: then what holds of a loss is left out. */
  readonly keepsLog?: string;
  fresh(): Promise<SourceDatabase>;
  /** A section of a database that nobody answers for. */
  nowhere(): unknown;
  /** Sections that are wrong, each with the path of what is wrong below `sources.shop`. */
  readonly wrong: readonly (readonly [section: unknown, path: string])[];
  /** The database does not say how far its log goes: the end of its lag is that of what was fetched, which goes on while it is read. */
  readonly endIsOfFetched?: true;
  /** The most bytes of bodies in one chunk, and the most that are read ahead of who pulls. */
  readonly bounds: { readonly chunkBytes: number; readonly aheadBytes: number };
}
