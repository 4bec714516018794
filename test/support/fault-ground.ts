// What every fault test stands on: servers, a database that is written to, its own account of what was committed, and the
// judgement at the end.

import { cp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { NatsServer } from "../../src/dev/nats-server.ts";
import type { PostgresServer } from "../../src/dev/postgres.ts";
import { version } from "../../src/version.ts";
import { assertGuarantees } from "./check/guarantees.ts";
import { createTruthSlot, type TruthChange, type TruthSlot } from "./check/truth.ts";
import { WriteLoad } from "./postgres/write-load.ts";
import { type Database, freshDatabase, freshNats } from "./servers.ts";
import { waitFor } from "./wait-for.ts";

/** A seed to print: `SEED` repeats an earlier run. */
export function seedOf(test: string): number {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9);
  console.error(`${test}: seed ${seed}`);
  return seed;
}

export interface FaultGroundOptions {
  /** Of nats-server. Default `always`. */
  readonly sync?: string;
  /** Instead of one of its own. */
  readonly nats?: NatsServer;
  readonly postgres?: PostgresServer;
}

/** A source `shop` to be: database and bus, without a worker. */
export class FaultGround implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly database: Database;
  readonly truth: TruthSlot;

  private constructor(nats: NatsServer, database: Database, truth: TruthSlot) {
    this.nats = nats;
    this.database = database;
    this.truth = truth;
  }

  static async start({ sync = "always", nats, postgres }: FaultGroundOptions = {}): Promise<FaultGround> {
    const server = nats ?? (await freshNats({ syncInterval: sync }));
    const database = await freshDatabase(postgres);
    await database.query(`${WriteLoad.tables}; create table final(id int primary key)`);
    return new FaultGround(server, database, await createTruthSlot(database.url));
  }

  /** Of one worker. The two servers may be reached through proxies. */
  configuration({
    natsUrl = this.nats.url,
    databaseUrl = this.database.url,
    fsync = "always",
    tables = ["public.*", "!public.aside"],
    ...options
  }: {
    readonly natsUrl?: string;
    readonly databaseUrl?: string;
    readonly fsync?: string;
    /** More options of the source. */
    readonly timeout?: string;
    readonly tables?: readonly unknown[];
    readonly maskKey?: unknown;
    readonly maxRowBytes?: number;
  } = {}): Readonly<Record<string, unknown>> {
    return {
      bus: { servers: natsUrl, fsync },
      sources: { shop: { kind: "postgres", url: databaseUrl, tables, ...options } },
    };
  }

  write(seed: number): WriteLoad {
    return WriteLoad.start({ url: this.database.url, seed });
  }

  /** Waits until the stream holds what has been committed so far. */
  async caughtUp(timeoutMs = 60_000): Promise<void> {
    const [last] = await this.database.query<{ id: number }>(
      "insert into final select coalesce(max(id), 0) + 1 from final returning id",
    );
    const arrived = async (): Promise<boolean> =>
      (await this.lastMessage("cdc.shop.public.final.created.*"))?.text.includes(`"id":${last?.id}`) === true;
    await waitFor(arrived, { what: "the stream to hold the last change", timeoutMs });
  }

  /** Once nobody writes any more: waits until the stream holds it all, and resolves to all that was committed. */
  async settled(timeoutMs?: number): Promise<readonly TruthChange[]> {
    await this.caughtUp(timeoutMs);
    return this.committed();
  }

  /** All that was committed since the last call. */
  async committed(): Promise<readonly TruthChange[]> {
    return (await this.truth.read()).filter(({ collection }) => collection !== "aside");
  }

  /** Of everything that takes part. */
  async versions(): Promise<Readonly<Record<string, string>>> {
    const [row] = await this.database.query<{ server_version: string }>("show server_version");
    const connection = await connect({ servers: this.nats.url });
    const nats = connection.info?.version ?? "";
    await connection.close();
    return { millrace: version, node: process.version, postgres: row?.server_version ?? "", nats };
  }

  /** The judgement. @throws Error that lists what is wrong */
  async judge(timeoutMs?: number): Promise<readonly TruthChange[]> {
    const truth = await this.settled(timeoutMs);
    await assertGuarantees({ truth, natsUrl: this.nats.url, source: "shop" });
    return truth;
  }

  /** The newest message of a subject, wildcards allowed; undefined while there is none. */
  async lastMessage(
    subject: string,
  ): Promise<{ readonly seq: number; readonly timeMs: number; readonly text: string } | undefined> {
    return this.withStreams(async ({ streams }) => {
      const message = await streams.getMessage("CDC_SHOP", { last_by_subj: subject }).catch(() => null);
      return message
        ? { seq: message.seq, timeMs: Date.parse(message.timestamp), text: Buffer.from(message.data).toString("utf8") }
        : undefined;
    });
  }

  /** The stream's first and last sequence. */
  async state(): Promise<{ readonly firstSeq: number; readonly lastSeq: number }> {
    return this.withStreams(async ({ streams }) => {
      const { state } = await streams.info("CDC_SHOP");
      return { firstSeq: state.first_seq, lastSeq: state.last_seq };
    });
  }

  /** A connection past all proxies, for one question. */
  async withStreams<T>(use: (manager: Awaited<ReturnType<typeof jetstreamManager>>) => Promise<T>): Promise<T> {
    const connection = await connect({ servers: this.nats.url, reconnect: false, timeout: 2_000 });
    try {
      return await use(await jetstreamManager(connection, { timeout: 5_000, checkAPI: false }));
    } finally {
      await connection.close();
    }
  }

  /** A copy of all that the bus keeps, as it would be on disk if the power went now. */
  async copyStore(): Promise<void> {
    this.nats.pause();
    try {
      await rm(this.#copy, { recursive: true, force: true });
      await cp(this.#store, this.#copy, { recursive: true });
    } finally {
      this.nats.resume();
    }
  }

  /** The power goes: what the bus stored since the copy is lost, though it was acknowledged. */
  async losePower(): Promise<void> {
    await this.nats.kill();
    await rm(this.#store, { recursive: true, force: true });
    await rename(this.#copy, this.#store);
    await this.nats.restart();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.nats.kill();
    await this.database[Symbol.asyncDispose]();
  }

  get #store(): string {
    return join(this.nats.dataDir, "jetstream");
  }

  get #copy(): string {
    return join(this.nats.dataDir, "older-copy");
  }
}
