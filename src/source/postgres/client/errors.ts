// Translates what the driver and the server throw into our classes, by SQLSTATE.

import { DatabaseError } from "pg";
import { bugOf, ConfigError, HistoryLostError, MillraceError, TransientError, toError } from "../../../errors.ts";

type Translation = (message: string, cause: Error) => MillraceError;

const authFailed: Translation = (message, cause) =>
  new ConfigError("AUTH_FAILED", message, {
    hint: /no encryption$/.test(message)
      ? "If pg_hba.conf lets this role in over TLS only: sslmode=require or stronger in the url (docs/operations/tls.md). Else let it in from here."
      : /certificate/.test(message)
        ? "The server wants a certificate of this client: name it in sslcert and sslkey (docs/operations/tls.md)."
        : "Check user and password of the url, and that pg_hba.conf lets this role in from here.",
    cause,
  });

const poolerInTheWay: Translation = (message, cause) =>
  new ConfigError("POOLER_IN_THE_WAY", message, {
    hint: "Replication needs a direct connection: use the database's own host and port (most often 5432), not the pooler's.",
    cause,
  });

const unreachable: Translation = (message, cause) =>
  new TransientError("SOURCE_UNREACHABLE", message, {
    hint: "See that the database runs and can be reached from here; a worker tries again by itself.",
    cause,
  });

const bySqlState: Readonly<Record<string, Translation>> = {
  "25P04": (message, cause) =>
    new TransientError("TRANSACTION_TIMEOUT", message, {
      hint: "Millrace turns transaction_timeout off for its sessions; where something turns it on again, such as a pooler: ALTER ROLE ... SET transaction_timeout = 0.",
      cause,
    }),
  "28P01": authFailed,
  "28000": authFailed,
  "3D000": (message, cause) =>
    new ConfigError("DATABASE_MISSING", message, {
      hint: "Check the database's name at the end of the url.",
      cause,
    }),
  "25006": (message, cause) =>
    new ConfigError("SESSION_READ_ONLY", message, {
      hint: "The worker's role makes its publication and sends heartbeats: ALTER ROLE ... SET default_transaction_read_only = off; or let the owner of the tables run what `millrace sql publication` prints.",
      cause,
    }),
  "42501": (message, cause) =>
    new ConfigError("PERMISSION_MISSING", message, {
      hint: "Give the role what the message names, or let an administrator run the statement.",
      cause,
    }),
  "53400": (message, cause) =>
    new ConfigError("SLOTS_EXHAUSTED", message, {
      hint: "Drop slots that nobody uses (SELECT slot_name, active FROM pg_replication_slots), or raise max_replication_slots.",
      cause,
    }),
  "55006": (message, cause) =>
    new TransientError("SLOT_ACTIVE", message, {
      hint: "Another process reads the slot; see pg_replication_slots.active_pid.",
      cause,
    }),
  "55P03": (message, cause) =>
    new TransientError("SOURCE_LOCKED", message, {
      hint: "Another session holds a lock on a table or on the publication; a worker tries again by itself.",
      cause,
    }),
  "58P01": (message, cause) =>
    new HistoryLostError("SLOT_LOST", message, {
      hint: "The log behind the slot is gone: run --adopt starts over with a new slot and records the gap. Raise max_slot_wal_keep_size so that it is kept longer.",
      cause,
    }),
};

/** The last resort, where there is no code: how old poolers refuse replication. */
const byText: readonly (readonly [RegExp, Translation])[] = [
  [/unsupported startup parameter.*replication/i, poolerInTheWay],
];

/** An error of the driver or the server as one of ours; ours stay as they are, and what is broken code is a bug. */
export function translateError(thrown: unknown): MillraceError {
  const ready = thrown instanceof MillraceError ? thrown : bugOf(thrown);
  if (ready !== undefined) return ready;
  const error = toError(thrown);
  // Node leaves the message of a connection that several addresses refused empty.
  const message = error.message || systemCode(error) || "the connection failed";
  const translate = byText.find(([pattern]) => pattern.test(message))?.[1] ?? byCode(sqlState(error));
  return translate(message, error);
}

/** The SQLSTATE of an error that the server sent; undefined for all others. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof DatabaseError ? error.code : undefined;
}

function byCode(state: string | undefined): Translation {
  if (state === undefined || /^(08|57)/.test(state)) return unreachable;
  return bySqlState[state] ?? ((message, cause) => unknownState(state, message, cause));
}

function unknownState(state: string, message: string, cause: Error): TransientError {
  return new TransientError("SOURCE_FAILED", message, {
    hint: `The message is the server's own, with SQLSTATE ${state}; a worker tries again by itself.`,
    cause,
  });
}

function systemCode(error: Error): string | undefined {
  return "code" in error && typeof error.code === "string" ? error.code : undefined;
}
