// Translates what the SDK throws: refusals that a reader goes on from, and errors that end what is done.

import { bugOf, ConfigError, MillraceError, TransientError, toError } from "../../../errors.ts";
import { connectionError, connectionText, notDynamo } from "./endpoint-errors.ts";

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

/** For what may be asked of a table, stream or shard that is not there: undefined then. @throws all else as it came */
export function ifUnknown(error: unknown): undefined {
  if (error instanceof ServerError && error.refusal === "unknown") return undefined;
  throw error;
}

const refusals: Readonly<Record<string, Refusal>> = {
  ProvisionedThroughputExceededException: "throttled",
  LimitExceededException: "throttled",
  ThrottlingException: "throttled",
  Throttling: "throttled",
  ThrottledException: "throttled",
  RequestThrottled: "throttled",
  RequestThrottledException: "throttled",
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
  "ExpiredTokenError",
  "SignatureDoesNotMatch",
]);

/** Of answers that have no name of DynamoDB's. */
const foreignNames: ReadonlySet<string> = new Set(["Unknown", "UnknownError", "Error"]);
const TOO_MANY = 429;

/** What the SDK has thrown, as ours or as a refusal. */
export function translateThrown(thrown: unknown): ServerError | MillraceError {
  if (thrown instanceof MillraceError || thrown instanceof ServerError) return thrown;
  const error = toError(thrown);
  const { status = 0, type } = answerOf(thrown);
  const message = `DynamoDB: ${error.name}: ${withoutValues(error.message)}`;
  const refusal = refusals[error.name];
  if (refusal !== undefined) return new ServerError(refusal, message, error);
  const refused = refusedError(error, message);
  if (refused !== undefined) return refused;
  if (status === 0) {
    const wrong = connectionError(error) ?? bugOf(thrown);
    return wrong ?? new ServerError("away", `DynamoDB: ${connectionText(error)}`, error);
  }
  // A proxy's page, which is not ours to quote.
  const isPage = error instanceof SyntaxError;
  const what = `HTTP ${status}${isPage ? ` with ${type ?? "no content type"}` : `: ${withoutValues(error.message)}`}`;
  if (status === TOO_MANY) return new ServerError("throttled", `DynamoDB: ${what}`, error);
  if (status >= 500)
    return new ServerError("failed", isPage ? `DynamoDB: ${what}, which is not DynamoDB's own` : message, error);
  const isForeign = isPage || error.name === "UnknownOperationException" || foreignNames.has(error.name);
  return isForeign ? notDynamo(what, error) : new ServerError("failed", message, error);
}

/** What an answer says of who asks, not of what is asked. */
function refusedError(error: Error, message: string): ServerError | ConfigError | undefined {
  const { name } = error;
  // The SDK goes by the server's clock from then on: asked again it may do.
  if (/^Request(TimeTooSkewed|Expired)$/.test(name) || /signature (expired|not yet current)/i.test(error.message))
    return new ServerError("failed", `${message} (is the clock of this machine right?)`, error);
  if (/scoped to a valid region/i.test(error.message))
    return new ConfigError("REGION_WRONG", message, {
      hint: "Set the source's option region (or AWS_REGION) to the one of the endpoint.",
      cause: error,
    });
  if (credentials.has(name))
    return new ConfigError("CREDENTIALS_REFUSED", message, {
      hint: "Give the worker credentials by the environment, a profile or its role (the SDK's default chain), and see that they have not expired, and that the region is enabled for the account.",
      cause: error,
    });
  if (name === "AccessDeniedException" || name === "AccessDenied") {
    const { action, rest } = deniedOf(error.message);
    return new ConfigError(
      "PERMISSION_MISSING",
      action === undefined ? message : `DynamoDB: may not ${action}${rest}`,
      {
        hint: `Allow ${action ?? "it"} in the policy of the worker's user or role. A source needs dynamodb:DescribeTable on its tables, and DescribeStream, GetShardIterator and GetRecords on their streams (table/NAME/stream/*); ListStreams; ListTables where a pattern has a *, ListTagsOfResource where the option tags asks for it.`,
        cause: error,
      },
    );
  }
  if (/region is missing/i.test(error.message))
    return new ConfigError("REGION_MISSING", "no region is known", {
      hint: "Set the source's option region, or AWS_REGION.",
      cause: error,
    });
  return undefined;
}

/** Which action on which resource, and why: `User: … is not authorized to perform: dynamodb:X on resource: Y because …`. */
function deniedOf(message: string): { readonly action: string | undefined; readonly rest: string } {
  const [, action, resource, why = ""] =
    /not authorized to perform: (\S+)(?: on resource: (\S+))?([\s\S]*)$/.exec(message) ?? [];
  return { action, rest: `${resource === undefined ? "" : ` on ${resource}`}${withoutValues(why)}` };
}

function answerOf(thrown: unknown): { readonly status?: number | undefined; readonly type?: string | undefined } {
  const { $metadata, $response } = thrown as {
    readonly $metadata?: { readonly httpStatusCode?: number };
    readonly $response?: { readonly statusCode?: number; readonly headers?: Readonly<Record<string, string>> };
  };
  return { status: $metadata?.httpStatusCode ?? $response?.statusCode, type: $response?.headers?.["content-type"] };
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
