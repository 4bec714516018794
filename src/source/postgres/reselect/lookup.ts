// The query that asks for some columns of a table by key, and with them the snapshot that it was answered in.

import { ConfigError, MillraceError } from "../../../errors.ts";
import { sqlState } from "../client/errors.ts";
import type { Session } from "../client/session.ts";
import { grantSelect } from "../client/sql.ts";
import type { Table } from "../decode/table.ts";
import { type LookupTarget, lookupText, readTarget } from "./lookup-sql.ts";

/** What was found under a key; undefined for nothing. */
export interface LookedUp {
  /** Larger than a row may be. */
  readonly wide: boolean;
  /** False: what comes before it takes all the room, so its values are not here. */
  readonly fits: boolean;
  /** As the log would print them. */
  readonly values: readonly (string | null)[];
}

export interface Answer {
  /** `pg_current_snapshot()`. */
  readonly snapshot: string;
  /** Where the log ended at the latest for which it holds. */
  readonly asOfLsn: string;
  /** For each key. */
  readonly rows: readonly (LookedUp | undefined)[];
}

interface Row {
  readonly snapshot: string;
  readonly asOfLsn: string;
  readonly same: boolean;
  readonly n: number | null;
  readonly wide: boolean;
  readonly fits: boolean;
  readonly [value: `v${number}`]: string | null;
}

const REFUSED = "42501";
/** By `statement_timeout`, or by a person. */
const CANCELED = "57014";

export class Lookup {
  readonly #session: Session;
  readonly #table: Table;
  readonly #columns: readonly number[];
  readonly #maxBytes: number;
  #target: LookupTarget | undefined;
  /** The catalog knows the columns no more, and their numbers are never used again. */
  #gone = false;

  constructor(session: Session, table: Table, columns: readonly number[], maxBytes: number) {
    this.#session = session;
    this.#table = table;
    this.#columns = columns;
    this.#maxBytes = maxBytes;
  }

  /**
   * @param keys as `UnreadRow` has them
   * @param room bytes of values from where on they are left out; the first that is found is always there
   * @returns "gone" when table or columns are not what the log describes, "unanswerable" when one of the keys cannot be
   *   looked up, "slow" when so many take longer than a statement may
   * @throws ConfigError RESELECT_NOT_GRANTED; TransientError
   */
  async ask(keys: readonly (readonly string[])[], room: number): Promise<Answer | "gone" | "unanswerable" | "slow"> {
    // Once more where somebody renamed something since the last time.
    for (let attempt = 0; attempt < 2 && !this.#gone; attempt++) {
      this.#target ??= await readTarget(this.#session, this.#table, this.#columns);
      const target = this.#target;
      if (target === undefined) {
        this.#gone = true;
        break;
      }
      try {
        const rows = await this.#session.query<Row>(lookupText(target), [
          room,
          this.#maxBytes,
          target.name,
          target.attnums,
          target.signature,
          ...target.key.map((_, nth) => keys.map((key) => key[nth])),
        ]);
        if (rows[0]?.same === true) return this.#answer(rows, keys.length);
      } catch (error) {
        const state = error instanceof MillraceError ? sqlState(error.cause) : undefined;
        if (state === REFUSED) throw notGranted(this.#table, target, error);
        if (state === CANCELED && keys.length > 1) return "slow";
        if (state === undefined || !/^(22|23|42|54)/.test(state)) throw error;
        if (!state.startsWith("42")) return "unanswerable";
      }
      this.#target = undefined;
    }
    return "gone";
  }

  #answer(rows: readonly Row[], keys: number): Answer {
    const [{ snapshot, asOfLsn }] = rows as readonly [Row];
    const found = new Array<LookedUp | undefined>(keys).fill(undefined);
    for (const row of rows) {
      if (row.n === null) continue;
      const { wide, fits } = row;
      found[row.n - 1] = { wide, fits, values: this.#columns.map((_, nth) => row[`v${nth}`] ?? null) };
    }
    return { snapshot, asOfLsn, rows: found };
  }
}

function notGranted(
  { namespace, collection }: Table,
  { role, schema, table }: LookupTarget,
  cause: unknown,
): ConfigError {
  const grants = grantSelect({ schema, name: table }, role).join(" ");
  return new ConfigError("RESELECT_NOT_GRANTED", `the worker's role may not read ${namespace}.${collection}`, {
    hint: `Let its owner run: ${grants} Under row level security the role needs BYPASSRLS too. Or take toast: "reselect" out of tables.`,
    cause,
  });
}
