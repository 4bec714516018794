// What a DynamoDB source cannot be read for, by the real SDK over HTTP: each is one line with a code and a way out; what may pass is asked again.

import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { DynamoDouble } from "../../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../../src/dev/dynamodb/dynamo-http.ts";
import { FAILED, THROTTLED, type Trouble } from "../../../../src/dev/dynamodb/trouble.ts";
import { ConfigError, type MillraceError, TransientError } from "../../../../src/errors.ts";
import type { SourceId } from "../../../../src/event/source-id.ts";
import { dynamoConnector } from "../../../../src/source/dynamodb/connector.ts";
import { contextOf } from "../../../contract/source/source-ground.ts";
import { stubCredentials } from "../../../support/dynamodb/dynamo-servers.ts";

const SECRET = "wr0ngsecret";

let double: DynamoDouble;
let http: DynamoHttp;
/** Answers each line with a greeting of another protocol. */
let stranger: Server;

beforeEach(async () => {
  stubCredentials();
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", SECRET);
  vi.stubEnv("AWS_SESSION_TOKEN", `token-${SECRET}`);
  vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
  double = new DynamoDouble();
  http = await DynamoHttp.start(double);
  double.createTable("carts");
  double.createTable("plain", { stream: false });
  stranger = createServer((socket) => socket.on("error", () => {}).end("SSH-2.0-stranger\r\n"));
  await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  stranger.close();
  await http[Symbol.asyncDispose]();
});

type Section = Readonly<Record<string, unknown>>;

/** What a first start ends with; "read" where it does not. */
async function start(section: Section = {}): Promise<MillraceError | "read"> {
  const given = { region: "eu-west-1", endpoint: http.url, tables: ["carts"], ...section };
  const config = dynamoConnector.parse(JSON.parse(JSON.stringify(given)), "sources.shop");
  try {
    await dynamoConnector.preflight("shop" as SourceId, config, contextOf({ value: undefined }));
    return "read";
  } catch (error) {
    return error as MillraceError;
  }
}

function portOf(server: Server): number {
  return (server.address() as { port: number }).port;
}

interface Case {
  readonly what: string;
  readonly kind?: typeof TransientError;
  readonly code: string;
  readonly message: RegExp;
  readonly hint: RegExp;
  readonly section?: () => Section;
  readonly trouble?: Trouble;
}

const refuse = (type: string, message: string): Trouble => ({ what: { kind: "refuse", type, message } });
const answer = (status: number, contentType: string, body: string): Trouble => ({
  what: { kind: "answer", status, contentType, body },
});
const denied = (action: string, resource: string, why: string): string =>
  `User: arn:aws:sts::000000000000:assumed-role/worker/i-1 is not authorized to perform: ${action} on resource: ${resource} because ${why}`;
const CARTS = "arn:aws:dynamodb:eu-west-1:000000000000:table/carts";
const PAGE = `<html><body>${SECRET}</body></html>`;

const cases: readonly Case[] = [
  {
    what: "a table without a stream",
    code: "STREAM_DISABLED",
    message: /^the table plain has no stream$/,
    hint: /update-table --table-name plain .*StreamEnabled=true/,
    section: () => ({ tables: ["plain"] }),
  },
  {
    what: "a table that is not there",
    code: "TABLE_NOT_FOUND",
    message: /^there is no table cart$/,
    hint: /name, the region or the endpoint/,
    section: () => ({ tables: ["cart"] }),
  },
  {
    what: "no region",
    code: "REGION_MISSING",
    message: /^no region is known$/,
    hint: /option region, or AWS_REGION/,
    section: () => {
      vi.stubEnv("AWS_REGION", undefined);
      return { region: undefined };
    },
  },
  {
    what: "another region than the endpoint's",
    code: "REGION_WRONG",
    message: /scoped to a valid region/,
    hint: /option region/,
    trouble: refuse("InvalidSignatureException", "Credential should be scoped to a valid region, not 'eu-west-2'."),
  },
  {
    what: "a session token that has expired",
    code: "CREDENTIALS_REFUSED",
    message: /ExpiredTokenException: The security token included in the request is expired/,
    hint: /have not expired/,
    trouble: refuse("ExpiredTokenException", "The security token included in the request is expired"),
  },
  {
    what: "credentials that nobody knows",
    code: "CREDENTIALS_REFUSED",
    message: /UnrecognizedClientException/,
    hint: /environment, a profile or its role/,
    trouble: refuse("UnrecognizedClientException", "The security token included in the request is invalid."),
  },
  {
    what: "a profile that is not there",
    code: "CREDENTIALS_REFUSED",
    message: /CredentialsProviderError/,
    hint: /a profile/,
    section: () => ({ profile: "nobody" }),
  },
  {
    what: "an action that is not allowed, by its name and the resource",
    code: "PERMISSION_MISSING",
    message: /^DynamoDB: may not dynamodb:DescribeTable on arn:aws:dynamodb:\S+:table\/carts because no identity-based/,
    hint: /^Allow dynamodb:DescribeTable in the policy of the worker's user or role/,
    trouble: refuse(
      "AccessDeniedException",
      denied("dynamodb:DescribeTable", CARTS, "no identity-based policy allows the dynamodb:DescribeTable action"),
    ),
  },
  {
    what: "an action on streams that is not allowed",
    code: "PERMISSION_MISSING",
    message: /^DynamoDB: may not dynamodb:DescribeStream on \S+\/stream\/\S+ with an explicit deny/,
    hint: /^Allow dynamodb:DescribeStream /,
    trouble: {
      operations: ["DescribeStream"],
      ...refuse(
        "AccessDeniedException",
        denied("dynamodb:DescribeStream", `${CARTS}/stream/2026`, "of").replace("because of", "with an explicit deny"),
      ),
    },
  },
  {
    what: "an endpoint that takes no TLS",
    code: "TLS_MISMATCH",
    message: /takes no TLS/,
    hint: /http:\/\//,
    section: () => ({ endpoint: http.url.replace("http:", "https:") }),
  },
  {
    what: "an endpoint that speaks no HTTP",
    code: "ENDPOINT_FOREIGN",
    message: /not DynamoDB: it speaks no HTTP/,
    hint: /Correct endpoint/,
    section: () => ({ endpoint: `http://127.0.0.1:${portOf(stranger)}` }),
  },
  ...[200, 301, 404, 407].map((status) => ({
    what: `a page with the status ${status}`,
    code: "ENDPOINT_FOREIGN",
    message: new RegExp(`^what answers is not DynamoDB: HTTP ${status} with text/html$`),
    hint: /proxy or a firewall/,
    trouble: answer(status, "text/html", PAGE),
  })),
  {
    what: "JSON that is not DynamoDB's",
    code: "ENDPOINT_FOREIGN",
    message: /an answer without Table/,
    hint: /Correct endpoint/,
    trouble: answer(200, "application/json", '{"ok":true}'),
  },
  {
    what: "a server that knows no such operation",
    code: "ENDPOINT_FOREIGN",
    message: /HTTP 400/,
    hint: /both DynamoDB and its streams/,
    trouble: refuse("UnknownOperationException", ""),
  },
  {
    what: "a proxy's 502",
    kind: TransientError,
    code: "SOURCE_FAILED",
    message: /^DynamoDB: HTTP 502 with text\/html, which is not DynamoDB's own$/,
    hint: /tries again/,
    trouble: answer(502, "text/html", PAGE),
  },
  {
    what: "a fault of the server",
    kind: TransientError,
    code: "SOURCE_FAILED",
    message: /InternalServerError/,
    hint: /tries again/,
    trouble: { what: FAILED },
  },
  {
    what: "a clock that is wrong",
    kind: TransientError,
    code: "SOURCE_FAILED",
    message: /is the clock of this machine right/,
    hint: /tries again/,
    trouble: refuse("InvalidSignatureException", "Signature expired: 20260101T000000Z is now earlier than now"),
  },
  {
    what: "requests that are throttled for ever",
    kind: TransientError,
    code: "SOURCE_THROTTLED",
    message: /ProvisionedThroughputExceededException/,
    hint: /more slowly/,
    trouble: { what: THROTTLED },
  },
  {
    what: "a port where nobody listens",
    kind: TransientError,
    code: "SOURCE_UNREACHABLE",
    message: /^DynamoDB: connect ECONNREFUSED 127\.0\.0\.1:1$/,
    hint: /region and endpoint are right/,
    section: () => ({ endpoint: "http://127.0.0.1:1" }),
  },
  {
    what: "a name that nobody has",
    kind: TransientError,
    code: "SOURCE_UNREACHABLE",
    message: /^DynamoDB: getaddrinfo \S+ dynamodb\.nowhere\.invalid$/,
    hint: /region and endpoint are right/,
    section: () => ({ endpoint: "http://dynamodb.nowhere.invalid" }),
  },
  {
    what: "connections that break",
    kind: TransientError,
    code: "SOURCE_UNREACHABLE",
    message: /ECONNRESET|hang up/,
    hint: /tries again/,
    trouble: { what: { kind: "reset" } },
  },
];

describe("a first start is refused for", () => {
  test.each(cases)("$what: $code", async ({ kind = ConfigError, code, message, hint, section, trouble }) => {
    const given = section?.();
    if (trouble !== undefined) double.troubles.add(trouble);
    const error = await start(given);
    if (error === "read") return expect.unreachable("it was read");
    expect(error).toBeInstanceOf(kind);
    expect([error.code, error.message, error.hint]).toEqual([
      code,
      expect.stringMatching(message),
      expect.stringMatching(hint),
    ]);
    expect(`${error.message} ${error.hint}`).not.toMatch(new RegExp(`\\n|${SECRET}|token-`));
  });
});

test.each<Trouble>([
  { what: { kind: "reset" } },
  { what: FAILED },
  { what: THROTTLED },
  answer(503, "text/plain", "busy"),
  answer(429, "text/html", "slow down"),
  refuse("RequestTimeTooSkewed", "the difference is too large"),
])("what passes is asked again, and read: %j", async (trouble) => {
  double.troubles.add({ ...trouble, times: 2 });
  expect(await start()).toBe("read");
});

test("a policy that lets the tables be read and not listed is enough for tables by their names", async () => {
  const message = denied(
    "dynamodb:ListTables",
    "arn:aws:dynamodb:eu-west-1:000000000000:table/*",
    "no policy allows it",
  );
  double.troubles.add({ operations: ["ListTables"], ...refuse("AccessDeniedException", message) });
  expect(await start({ tables: ["carts", "!plain"] })).toBe("read");
  expect(await start({ tables: ["c*"] })).toMatchObject({ code: "PERMISSION_MISSING" });
});
