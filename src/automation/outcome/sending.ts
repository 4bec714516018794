// What `send()` hands over, and to whom.

import { nearest } from "../../config/nearest.ts";
import { ConfigError } from "../../errors.ts";
import type { WorkerEvent } from "../../event/worker-event.ts";

/** One message on its way out. */
export interface Sending {
  readonly endpoint: string;
  readonly automation: string;
  readonly message: unknown;
  readonly event: { readonly id: string };
  /** What makes the event one, in whichever stream. */
  readonly key: string;
  /** Names a replay, which sends anew. */
  readonly run: string | undefined;
  /** Stores a domain event that the answer is, caused by the one that is handled. @throws Retry while the bus is away */
  readonly publish: (event: WorkerEvent) => Promise<void>;
  /** What the whole attempt may take. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** What a worker reaches. */
export interface Endpoints {
  /** Resolves once the endpoint has taken it; rejects with what the attempt fails by, or with `Waiting`. */
  send(sending: Sending): Promise<void>;
}

/** On a handler that `send()` made. */
export const sending: unique symbol = Symbol.for("millrace.sending");

/** Which endpoint a handler sends to, and whether the message is built for it. */
export interface SendsTo {
  readonly endpoint: string;
  readonly built: boolean;
}

/** Of a handler that `send()` made; undefined for any other one. */
export function sendsTo(handler: unknown): SendsTo | undefined {
  return (handler as { readonly [sending]?: SendsTo } | undefined)?.[sending];
}

/** Kinds that make something of any event. */
const PLAIN: readonly string[] = ["webhook", "github", "itsm"];

/**
 * Refuses an automation that sends to what there is not, or what its endpoint cannot take.
 * @param kinds of the configured endpoints, by name
 * @throws ConfigError ENDPOINT_UNKNOWN, AUTOMATION_INVALID
 */
export function refuseUnsendable(
  { id, sends }: { readonly id: string; readonly sends: SendsTo | undefined },
  kinds: ReadonlyMap<string, string>,
): void {
  if (sends === undefined) return;
  const { endpoint, built } = sends;
  const kind = kinds.get(endpoint);
  if (kind === undefined) {
    const names = [...kinds.keys()];
    const meant = nearest(endpoint, names);
    const known =
      meant === undefined ? `it has ${names.join(", ") || "none"}` : `did you mean ${JSON.stringify(meant)}?`;
    throw new ConfigError(
      "ENDPOINT_UNKNOWN",
      `${id} sends to ${JSON.stringify(endpoint)}: the configuration has no such endpoint`,
      {
        hint: known,
      },
    );
  }
  if (built || PLAIN.includes(kind)) return;
  throw new ConfigError(
    "AUTOMATION_INVALID",
    `${id} sends to ${endpoint}, of kind ${kind}, and builds no message for it`,
    {
      hint: `give send() a function that makes one: send("${endpoint}", ({ event }) => ...)`,
    },
  );
}

/** The type that a message names, for records. */
export function typeOf(message: unknown): string | undefined {
  const { type } = (message ?? {}) as { readonly type?: unknown };
  return typeof type === "string" ? type : undefined;
}
