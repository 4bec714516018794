// Whether the catalog's names for the attributes of rows within columns are those that the log was written under. The log
// tells nothing of ALTER TYPE: the catalog is looked at after a row has come, and before it is decoded.

import { LOG_END, parseLsn } from "./lsn.ts";
import type { Session } from "./session.ts";

/** What a type made of attributes was like when the catalog was read. */
export interface CompositeState {
  /** The oid of the relation that holds its attributes. */
  readonly relation: number;
  /** Another one after each change, also after one that is taken back. */
  readonly state: string;
}

/** SQL: the state of the attributes of a relation, by who wrote them last. */
export const attributesState = (relation: string): string =>
  `(SELECT coalesce(string_agg(concat_ws(' ', a.attnum, a.atttypid, a.attisdropped, a.xmin, a.attname), ',' ORDER BY a.attnum), '')
      FROM pg_attribute a WHERE a.attrelid = ${relation} AND a.attnum > 0)`;

/** A relation's type is made with it, and neither entry of what depends on what is ever changed. */
const MADE_BY = `SELECT d.xmin FROM pg_depend d WHERE d.deptype = 'i' AND (
        d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_type'::regclass
        OR d.refclassid = 'pg_class'::regclass AND d.refobjid = r.oid AND d.classid = 'pg_type'::regclass)`;

/**
 * `settled`: nothing that is still to come from the slot was written before the attributes were as they are. They were made
 * so, or were written by transactions that ended before all that the slot has to give.
 */
const look = `
  SELECT r.oid::int8::text AS oid, ${attributesState("r.oid")} AS state,
    NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0
      AND a.xmin NOT IN (${MADE_BY})
      AND NOT coalesce(age(a.xmin) > (SELECT age(s.catalog_xmin) FROM pg_replication_slots s WHERE s.slot_name = $2), false)
    ) AS settled,
    ${LOG_END}::text AS lsn
  FROM unnest($1::text[]::oid[]) r (oid)`;

/** Whoever changes attributes holds this until all others can see it: a commit may be in the log before that. */
const changing = `
  SELECT l.relation::int8::text AS oid FROM pg_locks l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.granted AND l.relation = ANY ($1::text[]::oid[])
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

interface Observed {
  readonly state: string;
  /** The state holds for changes at this place of the log and behind it. */
  readonly from: bigint;
}

export class CompositeStates {
  readonly #session: Session;
  readonly #slot: string;
  readonly #observed = new Map<number, Observed | undefined>();
  #changing: ReadonlySet<number> = new Set();
  /** How many more frames had come when it was looked last; below 0 when a later one is in hand. */
  #covered = -1;
  #came = false;

  constructor(session: Session, slot: string) {
    this.#session = session;
    this.#slot = slot;
  }

  /** The next frame is taken in hand. */
  step(): void {
    this.#covered--;
    this.#came = true;
  }

  /** Whether something came since it was looked last: what comes next may be of another state. */
  get isBehind(): boolean {
    return this.#came && this.#observed.size > 0;
  }

  /** Whether the frame in hand came before it was looked last. */
  get coversFrame(): boolean {
    return this.#covered >= 0;
  }

  /** Whether the states that were seen last are those of a change at this place of the log. */
  isCertainAt(composites: readonly CompositeState[], lsn: bigint): boolean {
    return composites.every(({ relation }) => {
      const observed = this.#observed.get(relation);
      return observed !== undefined && lsn >= observed.from && !this.#changing.has(relation);
    });
  }

  /** Whether this is how the type was for a change at this place of the log. */
  isState({ relation, state }: CompositeState, lsn: bigint): boolean {
    return this.#observed.get(relation)?.state === state && this.isCertainAt([{ relation, state }], lsn);
  }

  /**
   * Looks at all types that are known of.
   * @param waiting how many frames behind the one in hand have come
   * @throws TransientError
   */
  async observe(waiting: number, composites: readonly CompositeState[] = []): Promise<void> {
    for (const { relation } of composites) if (!this.#observed.has(relation)) this.#observed.set(relation, undefined);
    this.#came = false;
    if (this.#observed.size === 0) return;
    const relations = [...this.#observed.keys()].map(String);
    // In this order: who has let go of it by now can be seen by what follows.
    const held = await this.#session.query<{ oid: string }>(changing, [relations]);
    const rows = await this.#session.query<{ oid: string; state: string; settled: boolean; lsn: string }>(look, [
      relations,
      this.#slot,
    ]);
    for (const { oid, state, settled, lsn } of rows) {
      const before = this.#observed.get(Number(oid));
      if (before?.state !== state) this.#observed.set(Number(oid), { state, from: settled ? 0n : parseLsn(lsn) });
    }
    this.#changing = new Set(held.map(({ oid }) => Number(oid)));
    this.#covered = waiting;
  }
}
