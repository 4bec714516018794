// A replication stream by `pg-logical-replication`, used as the transport alone: own plugin, own queue, own feedback.

import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Client, ClientConfig } from "pg";
import type { LogicalReplicationService } from "pg-logical-replication";
import { BugError, type MillraceError, TransientError } from "../../../errors.ts";
import { translateError } from "../client/errors.ts";
import { formatLsn } from "../client/lsn.ts";
import { CopyFrames } from "./copy-frames.ts";
import { FrameQueue } from "./frame-queue.ts";
import { replicationService, type WireConnection } from "./replication-service.ts";
import { statusFrame } from "./status-frame.ts";
import type { ReplicationTransport } from "./transport.ts";

/** What a stream has received so far. */
export interface Received {
  /** The newest LSN. */
  readonly lsn: bigint;
  /** Frames of the log itself, without keepalives. */
  readonly frames: number;
  /** Whether all of it was taken and more would be: one that is slowed down by its reader does not stand still. */
  readonly hungry: boolean;
}

/** What the server says beside the log. */
export interface ServerNotice {
  readonly severity?: string | undefined;
  readonly code?: string | undefined;
  readonly message?: string | undefined;
}

export interface ReplicationOptions<Plan extends { readonly start: bigint }> {
  readonly client: ClientConfig;
  readonly slot: string;
  /** After how long without a frame from the other one either side gives up: the server after this, we after twice. */
  readonly timeoutMs: number;
  /** A frame that is larger is not held but cut: see cut-frame.ts. */
  readonly maxRowBytes: number;
  /** Runs on the new connection: settings, checks, and where to start. */
  readonly prepare: (client: Client) => Promise<Plan>;
  /** Sends START_REPLICATION; resolves when the stream has ended. */
  readonly run: (client: Client, start: bigint) => Promise<unknown>;
  /** An error ends the stream. */
  readonly judge: (notice: ServerNotice) => MillraceError | undefined;
}

const PAUSE_BYTES = 4 * 1024 * 1024;
const RESUME_BYTES = 1024 * 1024;
const LONGEST_STATUS_INTERVAL_MS = 10_000;
const START_MS = 30_000;
const CLOSE_MS = 2_000;
const KEEPALIVE = 0x6b;
const KEEPALIVE_BYTES = 18;

export class Replication<Plan extends { readonly start: bigint }> implements ReplicationTransport {
  readonly frames: FrameQueue = new FrameQueue();
  readonly #options: ReplicationOptions<Plan>;
  readonly #service: LogicalReplicationService;
  /** Rejects with the stream's end: what else is asked of the database for it then need not be waited for. */
  readonly failed: Promise<never>;
  readonly #statusIntervalMs: number;
  readonly #copy: CopyFrames;
  /** The driver's own parser: for all that is not the log. */
  #driver: (bytes: Buffer) => void = () => {};
  #connection: WireConnection | undefined;
  #ended: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #failure: MillraceError | undefined;
  #reject: (reason: MillraceError) => void = () => {};
  #waiter: { resolve(): void; reject(error: Error): void } | undefined;
  #statusTimer: NodeJS.Timeout | undefined;
  #paused = false;
  #heard = false;
  #silentMs = 0;
  #receivedHigh = 0;
  #receivedLow = 0;
  #logFrames = 0;
  #past: { readonly lsn: bigint; readonly call: () => void } | undefined;
  #acknowledged = 0n;

  constructor(options: ReplicationOptions<Plan>) {
    this.#options = options;
    this.#statusIntervalMs = Math.min(options.timeoutMs / 3, LONGEST_STATUS_INTERVAL_MS);
    this.#copy = new CopyFrames({
      frames: this.frames,
      maxBytes: options.maxRowBytes,
      pass: (bytes) => this.#driver(bytes),
      taken: (bytes, from, length) => this.#taken(bytes, from, length),
      malformed: () => this.#fail(new TransientError("PROTOCOL_MALFORMED", "the server sent a message without length")),
    });
    this.#service = replicationService(options.client);
    this.failed = new Promise((_, reject) => {
      this.#reject = reject;
    });
    this.failed.catch(() => {}); // nobody need wait for it
  }

  /** Resolves when the stream has started. @throws what `prepare` and `run` throw, translated; then only `close` is left */
  async start(): Promise<Plan> {
    let plan: Plan | undefined;
    const started = new Promise<void>((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
    const plugin = {
      options: {},
      name: "pgoutput",
      start: async (client: Client) => {
        const connection = this.#attach(client);
        await this.#endIfClosed(client);
        plan = await this.#options.prepare(client);
        await this.#endIfClosed(client);
        this.#receivedHigh = Number(plan.start >> 32n);
        this.#receivedLow = Number(plan.start & 0xffffffffn);
        connection.once("replicationStart", () => this.#wake());
        await this.#options.run(client, plan.start);
      },
      parse: () => undefined, // never called: the frames are taken ahead of the driver
    };
    this.#service.on("error", (error) => this.#fail(error));
    // The position is the plan's; the library wants an explicit one, or it takes what it received last.
    this.#ended = this.#service.subscribe(plugin, this.#options.slot, "0/0").then(
      () => this.#fail(new TransientError("SOURCE_UNREACHABLE", "the server ended the stream")),
      (error) => this.#fail(error),
    );
    const timer = setTimeout(
      () => this.#fail(new TransientError("SOURCE_SILENT", "the server did not start the stream in time")),
      START_MS,
    );
    await started.finally(() => clearTimeout(timer));
    this.#statusTimer = setInterval(() => this.#tick(), this.#statusIntervalMs);
    return plan as Plan;
  }

  next(): boolean {
    const stepped = this.frames.next();
    if (this.#paused && this.frames.size < RESUME_BYTES) {
      this.#paused = false;
      this.#connection?.stream.resume();
    }
    return stepped;
  }

  ready(): Promise<void> {
    if (this.frames.size > 0) return Promise.resolve();
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  acknowledge(end: bigint): void {
    if (end > this.#received) {
      throw new BugError("ACKNOWLEDGED_TOO_FAR", `${formatLsn(end)} is beyond what was received`);
    }
    if (end <= this.#acknowledged) return;
    this.#acknowledged = end;
    this.#sendStatus(false);
  }

  received(): Received {
    const hungry = !this.#paused && this.frames.size === 0;
    return { lsn: this.#received, frames: this.#logFrames, hungry };
  }

  /** Calls back once a frame has come from behind this LSN; a newer call takes the older one's place. */
  whenPast(lsn: bigint, call: () => void): void {
    this.#past = { lsn, call };
    this.#lookPast();
  }

  /** Ends the stream with this reason. */
  abandon(reason: MillraceError): void {
    this.#fail(reason);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  get #received(): bigint {
    return (BigInt(this.#receivedHigh) << 32n) | BigInt(this.#receivedLow);
  }

  #attach(client: Client): WireConnection {
    const { connection } = client as unknown as { readonly connection: WireConnection };
    this.#connection = connection;
    client.on("notice", (notice) => {
      const failure = this.#options.judge(notice);
      if (failure !== undefined) this.#fail(failure);
    });
    this.#goAhead(connection.stream);
    return connection;
  }

  /** Takes the parser's place at the socket. Between two answers: what comes next is the beginning of a message. */
  #goAhead(stream: Duplex): void {
    const [parse, ...others] = stream.listeners("data") as ((bytes: Buffer) => void)[];
    if (parse === undefined || others.length > 0)
      throw new BugError("DRIVER_UNKNOWN", "the driver does not read its socket as it used to");
    this.#driver = parse;
    stream.on("data", (chunk: Buffer) => {
      this.#heard = true;
      this.#copy.take(chunk);
    });
    stream.removeListener("data", parse);
  }

  /** Called in the socket's own event: it must not throw. */
  #taken(bytes: Buffer, from: number, length: number): void {
    if (length < KEEPALIVE_BYTES) {
      this.#fail(new BugError("PROTOCOL_MALFORMED", "a frame is too short to be one"));
      return;
    }
    const high = bytes.readUInt32BE(from + 1);
    const low = bytes.readUInt32BE(from + 5);
    if (high > this.#receivedHigh || (high === this.#receivedHigh && low > this.#receivedLow)) {
      this.#receivedHigh = high;
      this.#receivedLow = low;
      if (this.#past !== undefined) this.#lookPast();
    }
    if (bytes[from] !== KEEPALIVE) this.#logFrames++;
    else if (bytes[from + KEEPALIVE_BYTES - 1] === 1) this.#sendStatus(false);
    if (!this.#paused && this.frames.size > PAUSE_BYTES) {
      this.#paused = true;
      this.#connection?.stream.pause();
    }
    this.#wake();
  }

  #lookPast(): void {
    const past = this.#past;
    if (past === undefined || this.#received < past.lsn) return;
    this.#past = undefined;
    past.call();
  }

  /** Goes on while the socket is paused, so that a slow bus does not cost the connection. */
  #tick(): void {
    if (this.#heard || this.#paused) this.#silentMs = 0;
    else this.#silentMs += this.#statusIntervalMs;
    this.#heard = false;
    if (this.#silentMs >= 2 * this.#options.timeoutMs) {
      this.#fail(new TransientError("SOURCE_SILENT", `the server sent nothing for ${Math.round(this.#silentMs)} ms`));
      return;
    }
    // A server that hears from us regularly has no reason to speak by itself: ask it.
    this.#sendStatus(this.#silentMs > 0);
  }

  #sendStatus(replyWanted: boolean): void {
    if (this.#failure !== undefined) return;
    const status = { received: this.#received, acknowledged: this.#acknowledged, replyWanted };
    this.#connection?.sendCopyFromChunk(statusFrame(status));
  }

  /** Closed while it was connecting: the library knew of no client to end then, and a stream would start that nobody reads. */
  async #endIfClosed(client: Client): Promise<void> {
    if (this.#closing === undefined) return;
    await client.end();
    throw closed();
  }

  #wake(): void {
    this.#waiter?.resolve();
    this.#waiter = undefined;
  }

  /** The first reason counts. No frame is taken after it. */
  #fail(reason: unknown): void {
    this.#failure ??= translateError(reason);
    this.#reject(this.#failure);
    this.#copy.discard();
    clearInterval(this.#statusTimer);
    this.#waiter?.reject(this.#failure);
    this.#waiter = undefined;
  }

  async #close(): Promise<void> {
    const connection = this.#connection;
    const alive = this.#failure === undefined;
    this.#fail(closed());
    if (alive && connection !== undefined) {
      connection.stream.resume();
      connection.endCopyFrom();
      await Promise.race([this.#ended, delay(CLOSE_MS, undefined, { ref: false })]);
    }
    const timer = setTimeout(() => connection?.stream.destroy(), CLOSE_MS);
    await this.#service.destroy().catch(() => {}); // closing a broken connection may fail; it is gone either way
    clearTimeout(timer);
    connection?.on("error", () => {}); // the library took all listeners off; a late error must not end the process
  }
}

function closed(): TransientError {
  return new TransientError("SOURCE_CLOSED", "the stream was closed");
}
