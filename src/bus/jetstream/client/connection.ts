// One connection to NATS, with the settings that the publish protocol needs, and one place that hears of its ups and downs.

import { jetstreamManager } from "@nats-io/jetstream";
import {
  type ConnectionOptions,
  connect as dial,
  type NatsConnection,
  PermissionViolationError,
  type Status,
} from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";
import { ConfigError, type MillraceError, TransientError, toError } from "../../../errors.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { type BusAccess, dialOptions } from "./access.ts";
import { whyNot } from "./why-not.ts";

export interface ConnectOptions extends BusAccess {
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Pause between two tries to connect, in ms. */
  readonly retryMs?: number;
  /** A server that does not answer for twice this long counts as gone. */
  readonly pingIntervalMs?: number;
}

/** The first server version with atomic batches. */
const MIN_VERSION = [2, 12] as const;
const DEFAULT_MAX_PAYLOAD = 1024 * 1024;
/** What happens to a connection after which answers may be missing. */
const DISRUPTIONS: readonly string[] = ["disconnect", "reconnect", "staleConnection", "close"];
/** How often it is asked why the bus is away. */
const ASK_MS = 2000;

export class Connection implements AsyncDisposable {
  readonly nc: NatsConnection;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  readonly #refusalListeners = new Set<(subject: string) => void>();
  readonly #options: ConnectionOptions;
  readonly #access: ConnectOptions;
  #connected = true;
  #trouble: MillraceError | undefined;
  #asking: NodeJS.Timeout | undefined;
  #maxPayload = DEFAULT_MAX_PAYLOAD;

  private constructor(nc: NatsConnection, options: ConnectionOptions, access: ConnectOptions, log: Logger) {
    this.nc = nc;
    this.#options = options;
    this.#access = access;
    this.#log = log;
    void this.#watch();
  }

  /**
   * Connects; a server that is only away is waited for (said once), until the signal aborts.
   * @throws ConfigError for wrong credentials, a server too old, or one without JetStream
   */
  static async open(options: ConnectOptions): Promise<Connection> {
    const { log, signal, retryMs = 500, pingIntervalMs = 10_000 } = options;
    for (let said = false; ; ) {
      signal.throwIfAborted();
      try {
        const dialled: ConnectionOptions = {
          ...(await dialOptions(options)),
          name: "millrace",
          timeout: 3000,
          maxReconnectAttempts: -1,
          // Credentials that are refused twice may be right again a moment later: the server's configuration was changed.
          ignoreAuthErrorAbort: true,
          reconnectTimeWait: 250,
          reconnectJitter: 100,
          pingInterval: pingIntervalMs,
          maxPingOut: 2,
          noAsyncTraces: true,
        };
        const nc = await dial(dialled);
        try {
          await refuseUnfit(nc);
        } catch (unfit) {
          await nc.close();
          throw unfit;
        }
        return new Connection(nc, dialled, options, log);
      } catch (thrown) {
        const error = await whyNot(thrown, options);
        if (!(error instanceof TransientError)) throw error;
        if (!said)
          log.warn(
            "bus_disconnected",
            { code: error.code, hint: error.hint },
            `${error.message}; trying again until it is there`,
          );
        said = true;
        await realClock.sleep(retryMs);
      }
    }
  }

  get connected(): boolean {
    return this.#connected && !this.nc.isClosed();
  }

  /** Why it cannot be connected to or cannot serve, while that is so and is known. */
  get trouble(): MillraceError | undefined {
    return this.#trouble;
  }

  /** The limit of the server connected to last, in bytes: headers and body of a message. */
  get maxPayload(): number {
    this.#maxPayload = this.nc.info?.max_payload ?? this.#maxPayload;
    return this.#maxPayload;
  }

  /** Called at each disconnect and at each other event after which answers may be missing. Returns the way to stop. */
  onDisruption(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Called with the subject when the server does not let this user publish to it. Returns the way to stop. */
  onPublishRefused(listener: (subject: string) => void): () => void {
    this.#refusalListeners.add(listener);
    return () => this.#refusalListeners.delete(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#asking);
    await this.nc.close();
  }

  async #watch(): Promise<void> {
    for await (const status of this.nc.status()) this.#heard(status);
    this.#connected = false;
  }

  #heard(status: Status): void {
    // A server that refuses its user is left and dialled several times a second: that is one outage.
    if (status.type === "disconnect" && this.#connected) {
      this.#log.warn("bus_disconnected", { server: status.server });
      this.#askLater();
    }
    if (status.type === "reconnect") {
      const old = tooOld(this.nc);
      if (old === undefined) this.#log.info("bus_connected", { server: status.server });
      // Such a one would take a batch apart: nothing is sent to it.
      this.#connected = old === undefined;
      this.#found(old);
      this.#askLater(); // another server, or another configuration: it may be without JetStream
    }
    if (status.type === "disconnect" || status.type === "close") this.#connected = false;
    if (status.type === "error") this.#refused(status.error);
    if (DISRUPTIONS.includes(status.type)) for (const listener of this.#listeners) listener();
  }

  #askLater(): void {
    clearTimeout(this.#asking);
    this.#asking = setTimeout(() => void this.#ask(), ASK_MS).unref();
  }

  /** Asked until there is nothing to be told. */
  async #ask(): Promise<void> {
    if (this.nc.isClosed()) return;
    const { connected } = this;
    const found = await (connected ? this.#unfitness() : this.#refusal());
    if (connected !== this.connected) return; // it was heard of, and is asked for again
    if (connected || found !== undefined) this.#found(found);
    if (!connected || found !== undefined) this.#askLater();
  }

  /** The client does not tell why it cannot connect again: a connection of our own, tried once, does. */
  async #refusal(): Promise<MillraceError | undefined> {
    try {
      await (await dial({ ...this.#options, reconnect: false, maxReconnectAttempts: 0 })).close();
      return undefined;
    } catch (thrown) {
      return whyNot(thrown, this.#access);
    }
  }

  async #unfitness(): Promise<MillraceError | undefined> {
    try {
      await refuseUnfit(this.nc);
      return undefined;
    } catch (thrown) {
      return thrown instanceof ConfigError ? thrown : undefined; // what is only late, others tell of
    }
  }

  #found(trouble: MillraceError | undefined): void {
    if (trouble !== undefined && (trouble.code !== this.#trouble?.code || trouble.message !== this.#trouble.message))
      this.#log.warn("bus_disconnected", { code: trouble.code, hint: trouble.hint }, trouble.message);
    this.#trouble = trouble;
  }

  #refused(error: Error): void {
    if (!(error instanceof PermissionViolationError) || error.operation !== "publish") return;
    for (const listener of this.#refusalListeners) listener(error.subject);
  }
}

function tooOld({ info }: NatsConnection): ConfigError | undefined {
  const [major = 0, minor = 0] = (info?.version ?? "").split(".").map(Number);
  if (major > MIN_VERSION[0] || (major === MIN_VERSION[0] && minor >= MIN_VERSION[1])) return undefined;
  return new ConfigError("BUS_TOO_OLD", `nats-server ${info?.version} has no atomic batches`, {
    hint: `run nats-server ${MIN_VERSION.join(".")} or newer (2.15 recommended)`,
  });
}

async function refuseUnfit(nc: NatsConnection): Promise<void> {
  const old = tooOld(nc);
  if (old !== undefined) throw old;
  // Asked and not read from INFO: the server may have it and the account not, or the other way round in a cluster.
  try {
    await (await jetstreamManager(nc, { checkAPI: false })).getAccountInfo();
  } catch (thrown) {
    if (toError(thrown).name !== "JetStreamNotEnabled") throw thrown;
    throw new ConfigError("JETSTREAM_OFF", "this nats-server, or this account of it, is without JetStream", {
      hint: "start it with -js or a jetstream { store_dir: … } block in its configuration, and enable JetStream for the account",
      cause: thrown,
    });
  }
}
