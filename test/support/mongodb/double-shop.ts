// A source over the wire double of MongoDB, read by hand or by a worker; what a test opens ends with it.

import type { BSON } from "mongodb";
import { onTestFinished } from "vitest";
import { startWorker, type Worker, type WorkerOptions } from "../../../src/app.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { positionsAt } from "../../../src/event/positions.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { mongoConnector } from "../../../src/source/mongodb/connector.ts";
import type { Source } from "../../../src/source/source.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { lossPolicy } from "../../../src/worker/loss-policy.ts";
import { SourceReading } from "../../contract/source/source-reading.ts";
import { waitFor } from "../wait-for.ts";
import { type DoubleOptions, MongoDouble } from "./double/mongodb-double.ts";

export const SHOP = "shop" as SourceId;
const DATABASE = "shop";

/** What a source saves. */
export interface Memory {
  value: Readonly<Record<string, unknown>> | undefined;
}

export interface ShopOptions extends DoubleOptions {
  /** More of the source's section. */
  readonly section?: Readonly<Record<string, unknown>>;
  /** Behind the url's slash. */
  readonly query?: string;
  /** User and password, as they stand in the url. */
  readonly credentials?: string;
}

/** A database `shop` on a double of its own, with the collection `orders`. */
export class DoubleShop {
  readonly double: MongoDouble;
  readonly memory: Memory = { value: undefined };
  readonly #options: ShopOptions;

  constructor(double: MongoDouble, options: ShopOptions = {}) {
    this.double = double;
    this.#options = options;
  }

  static async start(options: ShopOptions = {}): Promise<DoubleShop> {
    const double = await MongoDouble.start(options);
    onTestFinished(() => double[Symbol.asyncDispose]());
    double.oplog.create(DATABASE, "orders", true);
    return new DoubleShop(double, options);
  }

  /** What a source's section holds beside its kind. */
  get section(): Readonly<Record<string, unknown>> {
    const { section, query = "", credentials } = this.#options;
    const user = credentials === undefined ? "" : `${credentials}@`;
    const url = this.double.url.replace("//", `//${user}`) + query;
    return { url, database: DATABASE, ...section };
  }

  /** Each in a transaction of its own. */
  insert(...ids: readonly (number | BSON.Document)[]): void {
    for (const one of ids) {
      const document = typeof one === "number" ? { _id: one } : one;
      this.double.oplog.write(DATABASE, [{ insert: "orders", document }]);
    }
  }

  /** Opens the source as a worker does, for the first time or with what is in the memory. */
  async open({ adopt = false } = {}): Promise<Source> {
    const { memory } = this;
    const config = mongoConnector.parse(this.section, "sources.shop");
    const context = {
      memory: {
        load: async () => memory.value,
        save: async (value: Readonly<Record<string, unknown>>) => {
          memory.value = value;
        },
      },
      log: silentLogger,
      lineageKey: async () => "of the tests",
      count: () => {},
      ...lossPolicy(adopt, "stop"),
    };
    await mongoConnector.preflight(SHOP, config, context);
    const source = await mongoConnector.open(SHOP, config, context);
    onTestFinished(() => Promise.resolve(source[Symbol.asyncDispose]()));
    return source;
  }

  /** Opens it and reads, from behind what earlier readings have handed out. */
  async read(...behind: readonly SourceReading[]): Promise<SourceReading> {
    const reached = behind.flatMap(({ placed }) => placed.map(({ position }) => position));
    const position = reached.sort().at(-1);
    const reading = new SourceReading(await this.open(), position && positionsAt({ position }));
    onTestFinished(() => reading.stop());
    return reading;
  }

  /** A worker of the source. */
  async worker(nats: NatsServer, options: WorkerOptions = {}): Promise<Worker> {
    const config = {
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "mongodb", ...this.section } },
    };
    const worker = await startWorker(config, options);
    worker.finished.catch(() => {}); // the test that waits for it sees it
    onTestFinished(() => worker.stop());
    return worker;
  }
}

/** The `_id`s of all changes that a reading has handed out. */
export function idsOf(reading: SourceReading): readonly unknown[] {
  return reading.changes.map(({ data }) => JSON.parse(Buffer.from(data).toString()).key._id);
}

/** Waits until one of the readings has handed out a change of this `_id`, while the last of them goes on. */
export async function untilRead(
  reading: SourceReading,
  id: unknown,
  ...before: readonly SourceReading[]
): Promise<void> {
  const look = (): "read" | "over" | undefined => {
    if ([reading, ...before].some((one) => idsOf(one).includes(id))) return "read";
    return reading.over ? "over" : undefined;
  };
  const found = await waitFor(look, { what: `the event of ${String(id)}` });
  if (found === "over") throw new Error(`the reading ended before it handed out ${String(id)}`);
}
