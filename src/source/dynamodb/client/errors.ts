// Translates what the SDK throws: refusals that a reader goes on from, and errors that end what is done.

import { bugOf, ConfigError, MillraceError, TransientError, toError } from "../../../errors.ts";

/**
 * `throttled`: later; `failed`: the server has a fault; `away`: nobody answers; `expired`: the iterator; `trimmed`: what was asked
 * for is older than what is kept; `unknown`: there is no such table, stream or shard; `invalid`: a number that is none of the shard's.
 */
export type Refusal = "throttled" | "failed" | "away" | "expired" | "trimmed" | "unknown" | "invalid";

export class ServerError extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ServerError";
    this.refusal = refusal;
  }
}

const refusals: Readonly<Record<string, Refusal>> = {
  ProvisionedThroughputExceededException: "throttled",
  LimitExceededException: "throttled",
  ThrottlingException: "throttled",
  RequestLimitExceeded: "throttled",
  TooManyRequestsException: "throttled",
  ExpiredIteratorException: "expired",
  TrimmedDataAccessException: "trimmed",
  ResourceNotFoundException: "unknown",
  ValidationException: "invalid",
  InternalServerError: "failed",
  InternalFailure: "failed",
  ServiceUnavailable: "failed",
};

const credentials: ReadonlySet<string> = new Set([
  "UnrecognizedClientException",
  "InvalidSignatureException",
  "IncompleteSignatureException",
  "MissingAuthenticationToken",
  "MissingAuthenticationTokenException",
  "ExpiredTokenException",
  "ExpiredToken",
  "InvalidClientTokenId",
  "CredentialsProviderError",
  "TokenProviderError",
]);

/** What the SDK has thrown, as ours or as a refusal. */
export function translateThrown(thrown: unknown): ServerError | MillraceError {
  if (thrown instanceof MillraceError || thrown instanceof ServerError) return thrown;
  const error = toError(thrown);
  const status = (thrown as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  const message = `DynamoDB: ${error.name}: ${withoutValues(error.message)}`;
  const refusal = refusals[error.name];
  if (refusal !== undefined) return new ServerError(refusal, message, error);
  if (credentials.has(error.name)) {
    return new ConfigError("CREDENTIALS_REFUSED", message, {
      hint: "Give the worker credentials by the environment, a profile or its role (the SDK's default chain), and see that they have not expired and that its clock is right.",
      cause: error,
    });
  }
  if (error.name === "AccessDeniedException" || error.name === "AccessDenied") {
    return new ConfigError("PERMISSION_MISSING", message, {
      hint: "The worker needs dynamodb:DescribeTable on its tables, and DescribeStream, GetShardIterator and GetRecords on their streams (table/NAME/stream/*); ListTables where a pattern has a *.",
      cause: error,
    });
  }
  if (/region is missing/i.test(error.message)) {
    return new ConfigError("REGION_MISSING", "no region is known", {
      hint: "Set the source's option region, or AWS_REGION.",
      cause: error,
    });
  }
  if (status === undefined || status === 0) {
    const bug = bugOf(thrown);
    return bug ?? new ServerError("away", message, error);
  }
  return new ServerError("failed", message, error);
}

/** What a refusal is to whoever cannot go on from it. */
export function translateError(thrown: unknown): MillraceError {
  const error = translateThrown(thrown);
  if (error instanceof MillraceError) return error;
  const { refusal, message } = error;
  switch (refusal) {
    case "away":
      return new TransientError("SOURCE_UNREACHABLE", message, {
        hint: "Millrace tries again; see that region and endpoint are right, and that it can be reached from here.",
        cause: error,
      });
    case "throttled":
      return new TransientError("SOURCE_THROTTLED", message, {
        hint: "Millrace tries again, more slowly. Does something else read the same streams? No more than two readers a shard are served.",
        cause: error,
      });
    default:
      return new TransientError("SOURCE_FAILED", message, {
        hint: "The message is the server's own; a worker tries again by itself.",
        cause: error,
      });
  }
}

/** One line, without values that a server may quote. */
function withoutValues(message: string): string {
  return message
    .replace(/Value '[^']*'/g, "a value")
    .replace(/\s+/g, " ")
    .slice(0, 300);
}
