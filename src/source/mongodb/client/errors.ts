// Translates what the driver and the server throw into our classes, by the server's code.

import { bugOf, ConfigError, HistoryLostError, MillraceError, TransientError, toError } from "../../../errors.ts";
import { driver } from "./driver.ts";

type Translation = (message: string, cause: Error) => MillraceError;

const historyLost: Translation = (message, cause) =>
  new HistoryLostError("OPLOG_LOST", message, {
    hint: "The oplog no longer holds what comes next: run --adopt starts over from now and records the gap. Make the oplog larger (replSetResizeOplog), or set its minimum retention.",
    cause,
  });

const placeRefused: Translation = (message, cause) =>
  new HistoryLostError("RESUME_REFUSED", message, {
    hint: "The server does not find the event that was read last, neither by its token nor at its time. Was it set back, or restored? Then run --adopt starts over from now and records the gap.",
    cause,
  });

const authFailed: Translation = (message, cause) =>
  new ConfigError("AUTH_FAILED", message, {
    hint: "Check user, password and authSource of the url.",
    cause,
  });

const unreachable: Translation = (message, cause) =>
  new TransientError("SOURCE_UNREACHABLE", message, {
    hint: "Millrace tries again; see that the server runs and can be reached from here.",
    cause,
  });

const streamRefused: Translation = (message, cause) =>
  new ConfigError("STREAM_REFUSED", message, {
    hint: "The server does not take the change stream that Millrace needs; the message is its own. MongoDB 6.0.9 or newer is wanted.",
    cause,
  });

const byCode: Readonly<Record<number, Translation>> = {
  13: (message, cause) =>
    /requires authentication/i.test(message)
      ? authFailed(message, cause) // nobody is named in the url
      : new ConfigError("PERMISSION_MISSING", message, {
          hint: "The user needs find and changeStream on the database: `millrace sql role` prints the role.",
          cause,
        }),
  18: authFailed,
  8000: authFailed,
  280: placeRefused,
  286: historyLost,
  464: historyLost,
  40573: (message, cause) =>
    new ConfigError("NO_REPLICA_SET", message, {
      hint: "Change streams need a replica set, which may have one member: start mongod with --replSet and run rs.initiate().",
      cause,
    }),
  40324: (message, cause) =>
    new ConfigError("SERVER_UNSUPPORTED", message, {
      hint: "The server does not know a stage that Millrace needs: MongoDB 6.0.9 or newer is wanted.",
      cause,
    }),
};

/** What servers say that could have change streams and do not, whatever its code; it may begin with what is taken for a value. */
const SWITCHED_OFF = /change ?streams?\b.*\b(?:not|must be) enabled|majority read concern.*not supported/i;

/** While a stream is being opened the token itself may be refused, or what the stream is to be: that never heals by itself. */
const whileOpening: Readonly<Record<number, Translation>> = {
  2: streamRefused, // BadValue
  9: streamRefused, // FailedToParse
  59: streamRefused, // CommandNotFound
  72: streamRefused, // InvalidOptions
  73: streamRefused, // InvalidNamespace
  115: streamRefused, // CommandNotSupported
  166: streamRefused, // CommandNotSupportedOnView
  238: streamRefused, // NotImplemented
  260: placeRefused,
  40415: streamRefused, // an unknown member
  50811: placeRefused,
};

/** The server goes, or is not the one that is to be asked: another one, or it again, answers soon. */
const PASSING: ReadonlySet<number> = new Set([6, 7, 89, 91, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436]);

/** What a server says of errors behind which no stream can go on, whichever code they have. */
const NEVER_AGAIN = "NonResumableChangeStreamError";

/** An error of the driver or the server as one of ours; ours stay as they are, and what is broken code is a bug. */
export function translateError(thrown: unknown, opening = false): MillraceError {
  if (thrown instanceof MillraceError) return thrown;
  const bug = thrown instanceof driver().MongoError ? undefined : bugOf(thrown);
  if (bug !== undefined) return bug;
  const cause = toError(thrown);
  const message = `MongoDB: ${withoutValues(cause.message)}`;
  if (!(thrown instanceof driver().MongoServerError) || typeof thrown.code !== "number")
    return unreachable(message, cause);
  const { code } = thrown;
  if (opening && SWITCHED_OFF.test(cause.message)) {
    return new ConfigError("CHANGE_STREAMS_OFF", `the server's change streams are switched off (code ${code})`, {
      hint: "MongoDB 6.0 and newer has them on every replica set: see which server answers at the url, and its replication.enableMajorityReadConcern.",
      cause,
    });
  }
  const translation = byCode[code] ?? (opening ? whileOpening[code] : undefined);
  if (translation !== undefined) return translation(message, cause);
  if (thrown.hasErrorLabel(NEVER_AGAIN)) return historyLost(message, cause);
  if (PASSING.has(code)) return unreachable(message, cause);
  return new TransientError("SOURCE_FAILED", message, {
    hint: `The message is the server's own, with code ${code}; a worker tries again by itself.`,
    cause,
  });
}

/** The code with which a server refused; undefined for all else, also for what is about the connection. */
export function serverCode(thrown: unknown): number | undefined {
  const error = thrown instanceof MillraceError ? thrown.cause : thrown;
  return error instanceof driver().MongoServerError && typeof error.code === "number" ? error.code : undefined;
}

/** One line, without the commands, tokens and keys that a server quotes: they hold values of documents. */
function withoutValues(message: string): string {
  return message
    .replace(/\s+/g, " ")
    .replace(/command \{ (\w+):/, "command $1 {")
    .replace(/[\s:,.]*\{.*$/, "")
    .slice(0, 300);
}
