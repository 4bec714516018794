// Translates what the driver and the server throw into our classes, by the server's code.

import { MongoError, MongoServerError } from "mongodb";
import { bugOf, ConfigError, HistoryLostError, MillraceError, TransientError, toError } from "../../../errors.ts";

type Translation = (message: string, cause: Error) => MillraceError;

const historyLost: Translation = (message, cause) =>
  new HistoryLostError("OPLOG_LOST", message, {
    hint: "The oplog no longer holds what comes next: run --adopt starts over from now and records the gap. Make the oplog larger (replSetResizeOplog), or set its minimum retention.",
    cause,
  });

const authFailed: Translation = (message, cause) =>
  new ConfigError("AUTH_FAILED", message, {
    hint: "Check user, password and authSource of the url.",
    cause,
  });

const byCode: Readonly<Record<number, Translation>> = {
  13: (message, cause) =>
    new ConfigError("PERMISSION_MISSING", message, {
      hint: "The user needs find and changeStream on the database: `millrace sql role` prints the role.",
      cause,
    }),
  18: authFailed,
  8000: authFailed,
  280: historyLost,
  286: historyLost,
  464: historyLost,
  40573: (message, cause) =>
    new ConfigError("NO_REPLICA_SET", message, {
      hint: "Change streams need a replica set, which may have one member: start mongod with --replSet and run rs.initiate().",
      cause,
    }),
  40324: (message, cause) =>
    new ConfigError("SERVER_UNSUPPORTED", message, {
      hint: "The server does not know a stage that Millrace needs: MongoDB 6.0 or newer is wanted.",
      cause,
    }),
};

/** While a stream is being opened the token itself may be refused. */
const whileOpening: Readonly<Record<number, Translation>> = { 260: historyLost, 50811: historyLost };

/** An error of the driver or the server as one of ours; ours stay as they are, and what is broken code is a bug. */
export function translateError(thrown: unknown, opening = false): MillraceError {
  if (thrown instanceof MillraceError) return thrown;
  const bug = thrown instanceof MongoError ? undefined : bugOf(thrown);
  if (bug !== undefined) return bug;
  const cause = toError(thrown);
  const code = thrown instanceof MongoServerError && typeof thrown.code === "number" ? thrown.code : 0;
  const translation = byCode[code] ?? (opening ? whileOpening[code] : undefined);
  if (translation !== undefined) return translation(`MongoDB: ${cause.message}`, cause);
  return new TransientError("SOURCE_UNREACHABLE", `MongoDB: ${cause.message}`, {
    hint: "Millrace tries again; see that the server runs and can be reached from here.",
    cause,
  });
}
