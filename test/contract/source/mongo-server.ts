// A server of MongoDB's protocol, or what stands for one, for the contract: read through a proxy, so that connections can be cut.

import type { Connector } from "../../../src/source/connector.ts";
import { mongoConnector } from "../../../src/source/mongodb/connector.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { realTime } from "../../support/virtual-time.ts";
import type { Row, SourceServer } from "./source-server.ts";

export interface Order {
  readonly _id: string;
  readonly text: string;
}

/** A database with the collection `orders`, which keeps images. */
export interface MongoShop extends AsyncDisposable {
  /** Of one server, with host and port. */
  readonly url: string;
  readonly database: string;
  /** Several at once are a transaction. */
  insert(orders: readonly Order[]): Promise<void>;
  loseLog(): Promise<void>;
  /** Collections with their options, and how many documents each has. */
  contents(): Promise<unknown>;
  /** Makes a collection that keeps no images. */
  createPlain(collection: string): Promise<void>;
}

/** What is held against the contract. */
export interface MongoTarget {
  fresh(): Promise<MongoShop>;
  /** Why its log cannot be lost, where it cannot. */
  readonly keepsLog?: string;
}

/** More than a message's headers may have. */
const LONG_KEY = `0-poison${"x".repeat(100_000)}`;

export function mongoServer({ fresh, keepsLog }: MongoTarget): SourceServer {
  return {
    connector: mongoConnector as Connector<unknown>,
    time: realTime,
    lines: 1,
    ...(keepsLog === undefined ? {} : { keepsLog }),
    nowhere: () => ({ url: "mongodb://127.0.0.1:1/", database: "nothing" }),
    wrong: [
      [{ url: 5, database: "shop" }, ".url"],
      [{ url: "mongodb://a", database: "shop", collections: [] }, ".collections"],
      [{ url: "mongodb://a", database: "shop", images: { after: "perhaps" } }, ".images.after"],
    ],
    bounds: { chunkBytes: 1024 * 1024, aheadBytes: 24 * 1024 * 1024 },
    fresh: async () => {
      const shop = await fresh();
      const proxy = await TcpProxy.start(Number(new URL(shop.url).port));
      // The members' own names would lead past the proxy.
      const url = `mongodb://127.0.0.1:${proxy.port}/?directConnection=true`;
      const insert = (rows: readonly Row[]): Promise<void> =>
        shop.insert(rows.map(({ key, text = "" }) => ({ _id: key, text })));
      return {
        section: (options) => ({
          ...{ url, database: shop.database, collections: ["orders*"], images: { before: "stored", after: "stored" } },
          ...options,
        }),
        commit: (_, rows) => insert(rows),
        cut: async () => proxy.cut(),
        loseLog: () => shop.loseLog(),
        sentBytes: async () => proxy.bytesDown,
        contents: () => shop.contents(),
        poison: (before, behind) => insert([{ key: before }, { key: LONG_KEY }, { key: behind }]),
        leaveOut: () => shop.createPlain("orders_without_images"),
        [Symbol.asyncDispose]: async () => {
          await proxy[Symbol.asyncDispose]();
          await shop[Symbol.asyncDispose]();
        },
      };
    },
  };
}
