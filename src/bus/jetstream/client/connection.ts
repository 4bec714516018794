// One connection to NATS, with the settings that the publish protocol needs, and one place that hears of its ups and downs.

import { jetstreamManager } from "@nats-io/jetstream";
import {
  type ConnectionOptions,
  connect as dial,
  type NatsConnection,
  PermissionViolationError,
  type Status,
} from "@nats-io/transport-node";
import { ConfigError, MillraceError, TransientError, toError } from "../../../errors.ts";
import type { Logger } from "../../../telemetry/logger.ts";
import { addressesOf, type BusAccess, dialOptions } from "./access.ts";
import { busError } from "./bus-errors.ts";
import { asksForCertificate } from "./server-info.ts";

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
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    }
  }

  get connected(): boolean {
    return this.#connected && !this.nc.isClosed();
  }

  /** Why it cannot be connected to, while that is so and is known. */
  get trouble(): MillraceError | undefined {
    return this.connected ? undefined : this.#trouble;
  }

  /** Of the server connected to last, in bytes: headers and body of a message. */
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
      this.#log.info("bus_connected", { server: status.server });
      this.#connected = true;
      this.#trouble = undefined;
      clearTimeout(this.#asking);
    }
    if (status.type === "disconnect" || status.type === "close") this.#connected = false;
    if (status.type === "error") this.#refused(status.error);
    if (
      status.type !== "disconnect" &&
      status.type !== "reconnect" &&
      status.type !== "staleConnection" &&
      status.type !== "close"
    )
      return;
    for (const listener of this.#listeners) listener();
  }

  #askLater(): void {
    clearTimeout(this.#asking);
    this.#asking = setTimeout(() => void this.#ask(), ASK_MS).unref();
  }

  /** The client does not tell why it cannot connect again: a connection of our own, tried once, does. */
  async #ask(): Promise<void> {
    if (this.#connected || this.nc.isClosed()) return;
    try {
      await (await dial({ ...this.#options, reconnect: false, maxReconnectAttempts: 0 })).close();
    } catch (thrown) {
      const error = await whyNot(thrown, this.#access);
      if (error.code !== this.#trouble?.code || error.message !== this.#trouble.message)
        this.#log.warn("bus_disconnected", { code: error.code, hint: error.hint }, error.message);
      this.#trouble = error;
    }
    if (!this.connected && !this.nc.isClosed()) this.#askLater();
  }

  #refused(error: Error): void {
    if (!(error instanceof PermissionViolationError) || error.operation !== "publish") return;
    for (const listener of this.#refusalListeners) listener(error.subject);
  }
}

/** Why it could not be connected, as one of our errors. */
async function whyNot(thrown: unknown, options: ConnectOptions): Promise<MillraceError> {
  const addresses = addressesOf(options.servers).join(", ");
  return (
    refusal(thrown, addresses) ??
    (await silence(thrown, options)) ??
    busError(thrown, `connect to NATS at ${addresses}`)
  );
}

/** What the server or TLS refuses, and a person has to mend. */
function refusal(thrown: unknown, addresses: string): ConfigError | undefined {
  const cause = toError(thrown);
  if (cause instanceof MillraceError) return undefined;
  if (/authoriz|authentic|user.*expired/i.test(`${cause.name} ${cause.message}`)) {
    return new ConfigError("BUS_AUTH", `NATS at ${addresses} refused the connection: ${cause.message}`, {
      hint: "see bus.credentials, or user and password, or the token, in the urls of bus.servers: nats://user:password@host",
      cause,
    });
  }
  const tls = tlsReason(cause);
  if (tls === undefined) return undefined;
  return new ConfigError("BUS_TLS", `no TLS with NATS at ${addresses}: ${tls}`, {
    hint: "see bus.tls: ca is the authority that signed the server's certificate, which is for the name in the url; cert and key are what a server with `verify: true` asks for (docs/operations/tls.md)",
    cause,
  });
}

/** With TLS 1.3 a server that refuses this client's certificate ends the connection, and the client hears nothing of why. */
async function silence(thrown: unknown, { servers, tls }: BusAccess): Promise<MillraceError | undefined> {
  const [first = ""] = addressesOf(servers);
  if (toError(thrown).name !== "TimeoutError" || !(await asksForCertificate(first))) return undefined;
  if (tls?.cert === undefined) {
    return new ConfigError(
      "BUS_TLS",
      `NATS at ${first} asks for a certificate of this client, and bus.tls names none`,
      {
        hint: "set bus.tls.cert and bus.tls.key to one that its ca_file has signed (docs/operations/tls.md)",
        cause: thrown,
      },
    );
  }
  return new TransientError("BUS_UNREACHABLE", `NATS at ${first} let this client in no further than TLS`, {
    hint: "if it stays so, the server's ca_file has not signed the certificate of bus.tls.cert",
    cause: thrown,
  });
}

/** In the words of the error that is about TLS; undefined where none is. */
function tlsReason(error: Error): string | undefined {
  const code = "code" in error ? String(error.code) : "";
  if (/^(ERR_TLS|ERR_SSL|ERR_OSSL|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|CERT_)/.test(code)) return error.message;
  if (/server does not support 'tls'|'tls' is not available/.test(error.message)) return "the server takes none";
  return error.cause instanceof Error ? tlsReason(error.cause) : undefined;
}

async function refuseUnfit(nc: NatsConnection): Promise<void> {
  const info = nc.info;
  const [major = 0, minor = 0] = (info?.version ?? "").split(".").map(Number);
  if (major < MIN_VERSION[0] || (major === MIN_VERSION[0] && minor < MIN_VERSION[1])) {
    throw new ConfigError("BUS_TOO_OLD", `nats-server ${info?.version} has no atomic batches`, {
      hint: `run nats-server ${MIN_VERSION.join(".")} or newer (2.15 recommended)`,
    });
  }
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
