// Fills in what the log left out, for tables with `toast: "reselect"`: asks the database for it, and takes no value that
// is older than the event.

import { setTimeout as delay } from "node:timers/promises";
import type { ClientConfig } from "pg";
import { PoisonError } from "../../../errors.ts";
import type { SourceId } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { JsonWriter } from "../../json-writer.ts";
import type { SourceMessage } from "../../source.ts";
import { displaySettings } from "../client/display-settings.ts";
import { Session } from "../client/session.ts";
import { FrameReader } from "../decode/frame-reader.ts";
import type { MissingToast } from "../decode/missing-toast.ts";
import { RowEvents } from "../decode/row-events.ts";
import type { RowMissingToast } from "../decode/sequencer.ts";
import type { Table } from "../decode/table.ts";
import { Tuple } from "../decode/tuple.ts";
import { type LookedUp, Lookup } from "./lookup.ts";
import { visibleIn } from "./snapshot-visibility.ts";

export interface ReselectOptions {
  readonly source: SourceId;
  readonly client: ClientConfig;
  /** The most bytes of the values of one row: larger ones stay out. */
  readonly maxRowBytes: number;
  /** For how long a commit may stay invisible; then its values stay out. */
  readonly patienceMs: number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** The most bytes of looked-up values that wait to be handed out. */
const ROOM_BYTES = 4 * 1024 * 1024;
const FIRST_ROWS = 64;
const MOST_ROWS = 500;
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 500;

/** By the key's index whatever the planner thinks; nothing is hidden in silence: row security is an error instead. */
const settings = `${displaySettings}; SET statement_timeout = 15000; SET lock_timeout = 3000; SET row_security = off;
  SET default_transaction_read_only = on; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
  SET jit = off`;

/** What became of some rows. */
interface Round {
  /** Filled in, or to stay as they are. */
  readonly settled: ReadonlySet<RowMissingToast>;
  /** Those whose transaction cannot be seen yet. */
  readonly unseen: readonly RowMissingToast[];
  /** The size of the values that were filled in. */
  readonly bytes: number;
}

export class Reselect implements AsyncDisposable {
  readonly #options: ReselectOptions;
  readonly #session: Session;
  readonly #lookups = new WeakMap<Table, Map<string, Lookup>>();
  readonly #events = new RowEvents(new JsonWriter());
  readonly #frame = new FrameReader();
  readonly #before = new Tuple();
  readonly #after = new Tuple();
  #rows = FIRST_ROWS;
  /** Half of what was too slow, then one more each time: to find out that it still is costs a whole timeout. */
  #mostRows = MOST_ROWS;
  #told = false;

  constructor(options: ReselectOptions) {
    this.#options = options;
    this.#session = new Session(options.client, settings);
  }

  /**
   * The same messages in their order, in chunks that hold no more than some MiB of looked-up values (or one row's). What
   * is not there any more stays out.
   * @throws ConfigError RESELECT_NOT_GRANTED; TransientError
   */
  async *fill(
    messages: readonly SourceMessage[],
    unread: readonly RowMissingToast[],
  ): AsyncGenerator<readonly SourceMessage[], void> {
    /** New bodies, by the index of their message. */
    const filled = new Map<number, Uint8Array>();
    const ready = (from: number, to?: number): readonly SourceMessage[] =>
      messages.slice(from, to).map((message, nth) => {
        const data = filled.get(from + nth);
        filled.delete(from + nth); // handed out: not held any more
        return data === undefined || message.type !== "change" ? message : { ...message, data };
      });
    const until = performance.now() + this.#options.patienceMs;
    let open = unread;
    let done = 0;
    let heldBytes = 0;
    let pauseMs = FIRST_PAUSE_MS;
    while (open.length > 0) {
      const { settled, unseen, bytes } = await this.#round(open, filled, Math.max(1, ROOM_BYTES - heldBytes));
      const late = performance.now() > until ? new Set(unseen) : undefined;
      if (late !== undefined && unseen.length > 0) this.#tell();
      open = open.filter((one) => !settled.has(one) && late?.has(one) !== true);
      heldBytes += bytes;
      const upTo = open[0]?.index ?? messages.length;
      if (upTo > done) {
        yield ready(done, upTo);
        done = upTo;
        heldBytes = 0;
        pauseMs = FIRST_PAUSE_MS;
      } else if (unseen.length > 0) {
        await delay(pauseMs, undefined, { signal: this.#options.signal });
        pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
      }
    }
    if (done < messages.length) yield ready(done);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session[Symbol.asyncDispose]();
  }

  /** Asks for the first of them, table by table. */
  async #round(open: readonly RowMissingToast[], filled: Map<number, Uint8Array>, room: number): Promise<Round> {
    const asked = open.slice(0, this.#rows);
    const groups = new Map<Lookup, RowMissingToast[]>();
    for (const one of asked) {
      const lookup = this.#lookup(one.row);
      const group = groups.get(lookup);
      if (group === undefined) groups.set(lookup, [one]);
      else group.push(one);
    }
    const settled = new Set<RowMissingToast>();
    const unseen: RowMissingToast[] = [];
    let bytes = 0;
    for (const [lookup, group] of groups) {
      if (bytes >= room) break;
      const answer = await lookup.ask(
        group.map(({ row }) => row.key),
        room - bytes,
      );
      if (answer === "slow") {
        this.#mostRows = Math.floor(asked.length / 2);
        break;
      }
      if (answer === "unanswerable" && group.length > 1) {
        this.#rows = 1; // one of them: they are asked for one by one
        break;
      }
      if (typeof answer === "string") {
        for (const one of group) settled.add(one);
        continue;
      }
      const visible = visibleIn(answer.snapshot);
      group.forEach((one, nth) => {
        const found = answer.rows[nth];
        if (!visible(one.transaction)) {
          unseen.push(one);
        } else if (found === undefined || found.wide) {
          settled.add(one);
        } else if (found.fits) {
          bytes += this.#write(one, found, answer.asOfLsn, filled);
          settled.add(one);
        }
      });
    }
    const cut = settled.size + unseen.length < asked.length;
    this.#rows = Math.min(cut ? Math.max(1, settled.size) : 2 * this.#rows, this.#mostRows);
    this.#mostRows = Math.min(this.#mostRows + 1, MOST_ROWS);
    return { settled, unseen, bytes };
  }

  #lookup({ table, columns }: MissingToast): Lookup {
    const lookups = this.#lookups.get(table) ?? new Map<string, Lookup>();
    this.#lookups.set(table, lookups);
    const name = columns.join();
    let lookup = lookups.get(name);
    if (lookup === undefined) {
      lookup = new Lookup(this.#session, table, columns, this.#options.maxRowBytes);
      lookups.set(name, lookup);
    }
    return lookup;
  }

  /** Writes the event once more, as it would be had the log had the values. @returns the bytes of the values */
  #write(
    { index, row }: RowMissingToast,
    { values }: LookedUp,
    asOfLsn: string,
    filled: Map<number, Uint8Array>,
  ): number {
    const { table, columns } = row;
    const names = columns.map((column) => Buffer.from(table.columnName(column) ?? []).toString());
    const enriched = Buffer.from(`{"columns":[${names.join()}],"asOfLsn":"${asOfLsn}"}`);
    const before = row.restore(this.#frame, this.#before, this.#after, values);
    try {
      const { data } =
        row.moved && before !== undefined
          ? this.#events.moved(table, this.#frame, before, this.#after, enriched)
          : this.#events.updated(table, this.#frame, before, this.#after, enriched);
      filled.set(index, data);
    } catch (error) {
      // A value that cannot be read as what the log says the column is: it stays out.
      if (!(error instanceof PoisonError)) throw error;
    }
    return values.reduce((sum, value) => sum + (value?.length ?? 0), 0);
  }

  /** Once a reading. */
  #tell(): void {
    if (this.#told) return;
    this.#told = true;
    const { source, patienceMs, log } = this.#options;
    log.warn(
      "source_commit_unseen",
      { source, patienceMs },
      "a commit is in the log and not yet visible, as while it waits for a standby: its unchanged values stay out",
    );
  }
}
