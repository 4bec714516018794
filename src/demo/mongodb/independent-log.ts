// The database's own account of what was committed: a change stream of the driver's, read by nothing of Millrace's.

import type { Binary, ChangeStream, Collection, Db } from "mongodb";
import type { IndependentLog, ShopChange } from "../shop-database.ts";

/** Where the log writes to know that it has read all before; the source does not read it. */
export const BARRIERS = "barriers";

/** As the driver gives it. */
interface Told {
  readonly operationType: string;
  readonly ns?: { readonly coll?: string };
  readonly documentKey?: { readonly _id: unknown };
  readonly lsid?: { readonly id: Binary };
  readonly txnNumber?: unknown;
}

const ops: Readonly<Record<string, string>> = {
  insert: "created",
  update: "updated",
  replace: "updated",
  delete: "deleted",
};

export class WatchLog implements IndependentLog {
  readonly #stream: ChangeStream;
  readonly #barriers: Collection<{ readonly _id: number }>;
  #newest = 0;

  private constructor(db: Db) {
    this.#barriers = db.collection(BARRIERS);
    this.#stream = db.watch([], { batchSize: 1000, maxAwaitTimeMS: 100 });
  }

  /** Everything committed from now on will be read. */
  static async start(db: Db): Promise<WatchLog> {
    const log = new WatchLog(db);
    await log.read();
    return log;
  }

  /** Up to a write of its own: an answer without events would not say that there are none. */
  async read(): Promise<readonly ShopChange[]> {
    const barrier = ++this.#newest;
    // Opens the stream, where that is still to be done: what is written from here on comes out of it.
    let told = (await this.#stream.tryNext()) as Told | null;
    await this.#barriers.insertOne({ _id: barrier }, { writeConcern: { w: "majority" } });
    const changes: ShopChange[] = [];
    for (; ; told = (await this.#stream.next()) as Told) {
      if (told === null) continue;
      if (told.ns?.coll === BARRIERS && told.documentKey?._id === barrier) return changes;
      const change = changeOf(told);
      if (change !== undefined) changes.push(change);
    }
  }

  async close(): Promise<void> {
    await this.#stream.close();
  }
}

/** Undefined for what is not about the shop. */
export function changeOf({ operationType, ns, documentKey, lsid, txnNumber }: Told): ShopChange | undefined {
  const op = ops[operationType];
  const table = ns?.coll;
  if (op === undefined || table === undefined || table === BARRIERS) return undefined;
  const session = lsid === undefined ? "" : Buffer.from(lsid.id.buffer).toString("hex");
  return { transaction: `${session}:${txnNumber}`, table, op, id: String(documentKey?._id) };
}
