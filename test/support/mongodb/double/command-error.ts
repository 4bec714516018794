// A command that the double refuses, as a server would say it.

import type { BSON } from "mongodb";

export class CommandError extends Error {
  readonly code: number;
  readonly codeName: string;
  readonly labels: readonly string[];

  constructor(code: number, codeName: string, message: string, labels: readonly string[] = []) {
    super(message);
    this.code = code;
    this.codeName = codeName;
    this.labels = labels;
  }

  /** What the client gets. */
  get reply(): BSON.Document {
    const { code, codeName, message, labels } = this;
    return { ok: 0, errmsg: message, code, codeName, ...(labels.length > 0 ? { errorLabels: labels } : {}) };
  }
}

/** The oplog no longer holds what was asked for. */
export function historyLost(): CommandError {
  return new CommandError(
    286,
    "ChangeStreamHistoryLost",
    "Resume of change stream was not possible, as the resume point may no longer be in the oplog.",
    ["NonResumableChangeStreamError"],
  );
}

/** The token's event is not where it should be. */
export function tokenNotFound(): CommandError {
  return new CommandError(280, "ChangeStreamFatalError", "cannot resume stream; the resume token was not found", [
    "NonResumableChangeStreamError",
  ]);
}

export function tooLarge(bytes: number): CommandError {
  const message = `PlanExecutor error during aggregation :: caused by :: BSONObj size: ${bytes} is invalid. Size must be between 0 and 16793600(16MB)`;
  return new CommandError(10334, "BSONObjectTooLarge", message);
}
