// What the NATS client throws, as the errors that the supervisor knows what to do with.

import { JetStreamApiError } from "@nats-io/jetstream";
import { bugOf, ConfigError, MillraceError, TransientError, toError } from "../../../errors.ts";
import { apiCodes } from "./api-codes.ts";

/** JetStream's `err_code`s that are about the set-up, not about now. */
const settings: Readonly<Record<number, { readonly code: string; readonly hint: string }>> = {
  10039: { code: "JETSTREAM_OFF", hint: "enable JetStream for this account, or connect with one that has it" },
  10002: {
    code: "BUS_LIMIT_REACHED",
    hint: "raise the account's JetStream limits (storage, streams), or remove what is not needed",
  },
  10026: { code: "BUS_LIMIT_REACHED", hint: "raise the account's max_consumers, or remove consumers nobody needs" },
  10027: { code: "BUS_LIMIT_REACHED", hint: "raise the account's max_streams, or remove streams nobody needs" },
  10028: { code: "BUS_LIMIT_REACHED", hint: "raise the account's JetStream storage, or lower what streams reserve" },
  10047: {
    code: "BUS_LIMIT_REACHED",
    hint: "raise the server's JetStream storage (max_file_store), or free disk space",
  },
  10065: {
    code: "BUS_SUBJECTS_TAKEN",
    hint: "another stream captures these subjects: remove them from it, or give the source another id",
  },
  10074: { code: "BUS_TOO_FEW_SERVERS", hint: "lower bus.replicas, or add servers to the cluster" },
};

/** Whether the server answered with one of these codes. */
export function isApiError(thrown: unknown, ...codes: readonly number[]): boolean {
  return thrown instanceof JetStreamApiError && codes.includes(thrown.code);
}

/**
 * A ConfigError where only a person can help, a BugError where code is broken, a TransientError otherwise; our own errors
 * pass unchanged.
 * @param doing what was being done, for the message: "make the stream CDC_SHOP"
 */
export function busError(thrown: unknown, doing: string): MillraceError {
  const ready = thrown instanceof MillraceError ? thrown : bugOf(thrown);
  if (ready !== undefined) return ready;
  const cause = toError(thrown);
  if (cause instanceof JetStreamApiError) {
    const setting = settings[cause.code];
    if (setting)
      return new ConfigError(setting.code, `could not ${doing}: ${cause.message}`, { hint: setting.hint, cause });
    if (isApiError(cause, ...apiCodes.noRoom)) {
      return new TransientError("STREAM_FULL", `could not ${doing}: ${cause.message}`, {
        hint: "raise the stream's max_bytes, the account's storage or the server's max_file_store, or free its disk; it is tried again",
        cause,
      });
    }
  }
  if (isForbidden(cause)) {
    return new ConfigError("BUS_PERMISSION", `could not ${doing}: ${cause.message}`, {
      hint: "give the worker's user the permission named above; docs/operations/nats.md has all that it needs",
      cause,
    });
  }
  return new TransientError("BUS_UNREACHABLE", `could not ${doing}: ${cause.message}`, {
    hint: "see that nats-server runs, has a JetStream leader and can be reached",
    cause,
  });
}

/** What the server answers. @param doing as for `busError`, which makes the error @throws MillraceError */
export async function asked<T>(doing: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (thrown) {
    throw busError(thrown, doing);
  }
}

/** What the server answers; undefined where that is one of these codes. */
export async function orNothing<T>(answer: Promise<T>, ...codes: readonly number[]): Promise<T | undefined> {
  try {
    return await answer;
  } catch (thrown) {
    if (isApiError(thrown, ...codes)) return undefined;
    throw thrown;
  }
}

/** JetStream's client wraps the server's word. */
export function isForbidden(thrown: unknown): boolean {
  const { name, cause } = toError(thrown);
  return name === "PermissionViolationError" || (cause instanceof Error && isForbidden(cause));
}
