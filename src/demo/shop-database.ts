// What the demo needs of a database that its shop runs on: one implementation for each kind.

import type { Automation } from "../index.ts";
import type { Latency } from "./latency.ts";

/** A change of the shop, or an event that it emitted: then aggregate, name and its id. */
export interface ShopChange {
  /** Or what else tells two changes of one row apart. */
  readonly transaction: string;
  readonly table: string;
  readonly op: string;
  readonly id: string;
}

/** The database's own account of what was committed, decoded by nothing of Millrace's. */
export interface IndependentLog {
  /** What was committed since the last time, in commit order: all that anybody can have seen by now. */
  read(): Promise<readonly ShopChange[]>;
}

/** What the shop has written of itself, where Millrace does not read. */
export interface Ledger {
  /** Changes, counted by their writer in the same transactions. */
  readonly committed: number;
  /** Effects that handlers have left. */
  readonly handled: number;
}

/** A server with the shop in it, empty of customers yet. Disposed of, it leaves nothing behind. */
export interface ShopDatabase extends AsyncDisposable {
  /** For a person: which server it is. */
  readonly server: string;
  /** The source's configuration. */
  readonly source: Readonly<Record<string, unknown>>;
  /** Where what it stores really is; undefined where the server is not the demo's own. */
  readonly dataDir: string | undefined;
  /** Which automations must settle a change, counted without Millrace: `orders.created`, by table and op. */
  readonly listeners: Readonly<Record<string, number>>;
  /** What stands for the transaction of a change, by the headers of its message. */
  readonly momentOf: (header: (name: string) => string) => string;
  /** Whether its log has one order for all changes, or one for each row. */
  readonly order: "all" | "row";
  automations(latency: Latency): readonly Automation[];
  /** Everything committed from now on will be read. */
  openLog(): Promise<IndependentLog>;
  ledger(): Promise<Ledger>;
  /** Lets things happen in the shop until the signal; resolves when the last transaction has ended. */
  write(signal: AbortSignal): Promise<void>;
}

/** Of a database that has transactions. */
export const byTransaction: Pick<ShopDatabase, "momentOf" | "order"> = {
  momentOf: (header) => header("Cdc-Tx"),
  order: "all",
};

/** Every twentieth payment is refused for good, the third of the first: a short run must have one too. */
export const isRefused = (id: string): boolean => Number(id) % 20 === 3;

/** Every tenth works the second time, or never. */
export const needsTwoTries = (id: string): boolean => Number(id) % 10 === 3;

/** What all automations of the shop have in common. */
export const shopDefaults = { start: "earliest", retry: { attempts: 3, min: "100ms", max: "500ms" } } as const;

/** A whole number from 1 up to `most`. */
export const upTo = (most: number): number => 1 + Math.floor(Math.random() * most);

/** Whether something that happens so often, out of a hundred, happens now. */
export const chance = (percent: number): boolean => Math.random() * 100 < percent;

/** One of some things, by how often each happens, out of a hundred. */
export function pick<T>(things: readonly (readonly [thing: T, percent: number])[]): T {
  let point = Math.random() * 100;
  for (const [thing, percent] of things) {
    point -= percent;
    if (point < 0) return thing;
  }
  return (things.at(-1) as readonly [T, number])[0];
}
