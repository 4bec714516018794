// Slices of tables: pages of a consistent scan, each held until the table's stream was read beyond it, without the items of which a
// change was handed out since some time before it. docs/decisions/0020 has the argument.

import type { Clock } from "../../../clock.ts";
import { ConfigError, MillraceError, TransientError } from "../../../errors.ts";
import type { Position } from "../../../event/position.ts";
import type { CopyTarget, RowCopier, Slice, SliceRequest } from "../../capabilities.ts";
import type { SourceMessage } from "../../source.ts";
import type { DynamoApi } from "../client/api.ts";
import { ifUnknown, ServerError, translateError } from "../client/errors.ts";
import { parsePartition } from "../client/partition.ts";
import { NAMESPACE } from "../decode/record-decoder.ts";
import type { DynamoConfig } from "../options/config.ts";
import { isName, tableFilter } from "../options/table-pattern.ts";
import type { Moment } from "../reader/shard-tip.ts";
import type { StreamStanding } from "../reader/stream-standing.ts";
import type { SourceRecord } from "../stream-record.ts";
import { type FitTable, fitTable } from "./fit-table.ts";
import { ItemEncoder } from "./item-encoder.ts";
import { readPlaces, writePlaces } from "./segment-places.ts";
import { TableCopy } from "./table-copy.ts";

export interface CopierOptions {
  readonly config: DynamoConfig;
  /** One that waits where it is throttled, but not for ever. */
  readonly api: DynamoApi;
  readonly clock: Clock;
  /** What the source reads. */
  readonly streams: () => SourceRecord["streams"];
  readonly standing: (arn: string, moment: Moment) => StreamStanding;
}

/** How often it is looked whether the stream has passed a page. */
const LOOK_MS = 50;
/** For how long a table is believed to be as it was. */
const BELIEVED_MS = 5_000;
/** Nothing is held any more for a copy of which nobody has asked for so long. */
const IDLE_MS = 60_000;
/** Beside what a page is held for anyway. */
const PATIENCE_MS = 20_000;
const HOUR_MS = 3600_000;
/** Of the 24 hours that a stream keeps its changes. */
const LATE_MS = 18 * HOUR_MS;

interface Current {
  readonly backfill: number;
  readonly table: FitTable;
  readonly id: string;
  readonly copy: TableCopy;
  /** When it was looked at last, and when it was asked for anything, ms of the clock. */
  lookedAt: number;
  usedAt: number;
}

export class DynamoCopier implements RowCopier {
  readonly #options: CopierOptions;
  /** How far each shard was handed out. */
  readonly #handedOut = new Map<string, Position>();
  /** Of the slice that was given last: what is over leaves it, for nobody knows it any more. */
  #notBefore = new Map<string, Position>();
  #current: Current | undefined;

  /** Absent where the configuration wants nothing to be copied once. No two tables have the same id. */
  readonly initial?: NonNullable<RowCopier["initial"]>;

  constructor(options: CopierOptions) {
    this.#options = options;
    const { config, streams } = options;
    const copied = tableFilter(config.backfill);
    if (config.backfill.length === 0) return;
    this.initial = async () => {
      // One that is named and has no stream yet cannot be copied, and its id is not known.
      const read = new Set(Object.values(streams()).map(({ table, ended }) => (ended ? undefined : table)));
      const targets = await this.targets();
      return {
        origin: undefined,
        targets: targets.filter(({ collection }) => read.has(collection) && copied(collection)),
      };
    };
  }

  /** Called with all that the source hands out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    for (const { type, partition, position } of messages) {
      if (partition === undefined || position === undefined) continue;
      if (type === "ended") {
        this.#handedOut.delete(partition);
        this.#notBefore.delete(partition);
      } else this.#handedOut.set(partition, position);
    }
    const current = this.#current;
    if (current === undefined) return;
    // One that rests, or is over, is begun anew where its progress says.
    if (this.#options.clock.now() > current.usedAt + IDLE_MS) this.#current = undefined;
    else current.copy.handedOut(messages);
  }

  /** Those that are read, and those that are named and have no stream: of such a one it is told why it cannot be copied. */
  async targets(): Promise<readonly CopyTarget[]> {
    const { config, streams } = this.#options;
    const ids = new Map<string, string>(config.tables.filter(isName).map((table) => [table, table]));
    for (const { table, tableId, ended } of Object.values(streams())) if (!ended) ids.set(table, tableId ?? table);
    const names = [...ids.keys()].filter((table) => table !== config.outbox?.table).sort();
    return names.map((table) => ({ id: ids.get(table) ?? table, namespace: NAMESPACE, collection: table }));
  }

  async estimate({ collection }: CopyTarget): Promise<number | undefined> {
    try {
      return (await this.#options.api.describeTable(collection).catch(ifUnknown))?.items;
    } catch (thrown) {
      throw translated(thrown, collection);
    }
  }

  async readSlice(request: SliceRequest): Promise<Slice> {
    try {
      return await this.#read(request);
    } catch (thrown) {
      throw translated(thrown, request.target.collection);
    }
  }

  async #read({ target, after, backfill, maxRows, signal }: SliceRequest): Promise<Slice> {
    const { config, clock } = this.#options;
    const { collection } = target;
    const held = config.scan.streamDelayMs + 2 * config.poll.maxIdleMs;
    let until = clock.now() + PATIENCE_MS + held;
    for (let isNew = true; !signal.aborted; isNew = false) {
      const current = await this.#look(collection, after, backfill);
      if (current === undefined) return { ...NOTHING, ...this.#tied(undefined) };
      current.usedAt = clock.now();
      const { copy, table, id } = current;
      if (isNew) copy.stored(readPlaces(after, id));
      copy.readAhead(maxRows);
      let standing: StreamStanding = { state: "unread" };
      const passed = copy.next(maxRows, (moment) => {
        standing = this.#options.standing(table.stream.arn, moment);
        return standing.state === "passed";
      });
      if (passed !== undefined) {
        const { rows, isLast } = passed;
        const place = (index: number) => writePlaces(id, passed.after(index));
        return { rows, isLast, after: place, ...this.#tied(collection) };
      }
      copy.throwFailure();
      if (!copy.isHolding) until = clock.now() + PATIENCE_MS + held;
      else if (clock.now() >= until) {
        current.lookedAt = Number.NEGATIVE_INFINITY;
        throw behind(collection, standing, clock.wall());
      }
      await clock.sleep(LOOK_MS, signal);
    }
    throw signal.reason;
  }

  /** What ties a slice to the stream: all that was handed out of its table, and that no change since is in it. */
  #tied(table: string | undefined): Pick<Slice, "notBefore" | "includes" | "version"> {
    this.#notBefore = new Map([...this.#handedOut].filter(([partition]) => parsePartition(partition).table === table));
    return { notBefore: this.#notBefore, includes: () => false, version: undefined };
  }

  /** The table as it is now; undefined where it is gone. */
  async #look(name: string, after: SliceRequest["after"], backfill: number): Promise<Current | undefined> {
    const { api, clock, config } = this.#options;
    const known = this.#current;
    const isSame = known?.table.table === name && known.backfill === backfill;
    if (known !== undefined && isSame && clock.now() < known.lookedAt + BELIEVED_MS) return known;
    const table = await fitTable(api, config, name);
    if (table === undefined) {
      this.#current = undefined;
      return undefined;
    }
    const id = table.id ?? name;
    if (known !== undefined && isSame && known.id === id && known.table.stream.arn === table.stream.arn) {
      known.lookedAt = clock.now();
      return known;
    }
    const { encoding, scan } = config;
    const keyNames = table.keys.map((key) => key.name);
    const copy = new TableCopy({
      ...{ api, clock, table: name, maxRcu: scan.maxRcu, delayMs: scan.streamDelayMs, places: readPlaces(after, id) },
      encoder: new ItemEncoder({ table: name, id, keyNames, encoding, backfill }),
    });
    this.#current = { backfill, table, id, copy, lookedAt: clock.now(), usedAt: clock.now() };
    return this.#current;
  }
}

/** Of a table that is gone. */
const NOTHING: Pick<Slice, "rows" | "isLast" | "after"> = { rows: [], isLast: true, after: () => ({}) };

function behind(table: string, standing: StreamStanding, wall: number): TransientError {
  if (standing.state !== "behind")
    return new TransientError("BACKFILL_STREAM_BEHIND", `the stream of ${table} is not read yet, or was switched off`, {
      hint: "It is looked at again: a stream that is new is read within a minute. See the state of the source.",
    });
  const { newestMs } = standing;
  const lateMs = newestMs === undefined ? 0 : wall - newestMs;
  if (lateMs < LATE_MS)
    return new TransientError("BACKFILL_STREAM_BEHIND", `items of ${table} wait until its stream is read beyond them`, {
      hint: "Nothing to do: it goes on when the source has caught up. See how far it is behind: millrace status.",
    });
  const hours = Math.floor(lateMs / HOUR_MS);
  return new TransientError(
    "BACKFILL_STREAM_LATE",
    `items of ${table} wait for its stream, which is read as of ${hours} hours ago: changes are lost behind 24`,
    {
      hint: "Cancel the copy, let the source catch up (docs/operations/stream-retention.md), and copy the table then.",
    },
  );
}

function translated(thrown: unknown, table: string): unknown {
  if (!(thrown instanceof ServerError) && !(thrown instanceof MillraceError)) return thrown;
  const error = thrown instanceof MillraceError ? thrown : translateError(thrown);
  if (error instanceof TransientError && error.code === "SOURCE_THROTTLED")
    return new TransientError(
      "BACKFILL_THROTTLED",
      `the server refuses to let ${table} be read faster: ${error.message}`,
      {
        hint: "It goes on by itself, more slowly. Let it take less of the table's read capacity (the source's option scan.maxRcu), or give the table more.",
        cause: error,
      },
    );
  if (error instanceof ConfigError && error.code === "PERMISSION_MISSING")
    return new ConfigError("PERMISSION_MISSING", error.message, {
      hint: "A copy needs dynamodb:Scan on the table: `millrace sql role` prints the statement that the policy lacks.",
      cause: error,
    });
  return error;
}
