// What a user of a DynamoDB source can have wrong, by the built command: two lines, the right exit code, nothing changed on the bus, no secret
// anywhere; what may pass is waited for.

import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { request as requestOf } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { DynamoDouble } from "../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../src/dev/dynamodb/dynamo-http.ts";
import { THROTTLED, type Trouble } from "../../../src/dev/dynamodb/trouble.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { Certificates } from "../../support/certificates.ts";
import { type CommandResult, runCommand } from "../../support/process/run-command.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const ACCESS_KEY = "AKIAWR0NGKEY";
const SECRET = "wr0ng+secret/key";
const TOKEN = "wr0ng-session-token";
const env = {
  ...{ AWS_ACCESS_KEY_ID: ACCESS_KEY, AWS_SECRET_ACCESS_KEY: SECRET, AWS_SESSION_TOKEN: TOKEN },
  ...{ AWS_EC2_METADATA_DISABLED: "true" },
};

let nats: NatsServer;
let double: DynamoDouble;
let http: DynamoHttp;

beforeAll(async () => {
  nats = await freshNats();
});
beforeEach(async () => {
  double = new DynamoDouble();
  http = await DynamoHttp.start(double);
  double.createTable("carts");
  double.createTable("plain", { stream: false });
});
afterEach(() => http[Symbol.asyncDispose]());

type Section = Readonly<Record<string, unknown>>;

function configOf(section: Section = {}): object {
  const shop = { kind: "dynamodb", region: "eu-west-1", endpoint: http.url, tables: ["carts"], ...section };
  return { bus: { servers: nats.url, fsync: "always" }, sources: { shop } };
}

async function command(
  args: readonly string[],
  section?: Section,
  more: Readonly<Record<string, string>> = {},
): Promise<CommandResult> {
  const cwd = await scratchDir();
  await writeFile(join(cwd, "millrace.config.json"), JSON.stringify(configOf(section)));
  return runCommand(args, { cwd, env: { ...env, ...more, MILLRACE_HTTP: "127.0.0.1:0" } });
}

async function streams(): Promise<readonly string[]> {
  const nc = await connect({ servers: nats.url });
  const names = await (await jetstreamManager(nc)).streams.names().next();
  await nc.close();
  return names.sort();
}

/** Nothing that only the server may know, and nothing that the SDK writes about itself. */
function expectNoSecret(text: string): void {
  for (const secret of [ACCESS_KEY, SECRET, TOKEN]) expect(text).not.toContain(secret);
  expect(text).not.toMatch(/AWS SDK for JavaScript|AWS4-HMAC|\(node:\d+\)/);
}

const refuse = (type: string, message: string): Trouble => ({ what: { kind: "refuse", type, message } });
const NOT_ALLOWED =
  "User: arn:aws:iam::000000000000:user/worker is not authorized to perform: dynamodb:DescribeStream on resource: arn:aws:dynamodb:eu-west-1:000000000000:table/carts/stream/2026 because no identity-based policy allows the dynamodb:DescribeStream action";

interface Case {
  readonly what: string;
  readonly code: string;
  readonly fix: RegExp;
  readonly section?: Section;
  readonly trouble?: Trouble;
}

const cases: readonly Case[] = [
  { what: "a table without a stream", code: "STREAM_DISABLED", fix: /update-table/, section: { tables: ["plain"] } },
  {
    what: "a table that is not there",
    code: "TABLE_NOT_FOUND",
    fix: /region or the endpoint/,
    section: { tables: ["cart"] },
  },
  {
    what: "credentials that have expired",
    code: "CREDENTIALS_REFUSED",
    fix: /have not expired/,
    trouble: refuse("ExpiredTokenException", "The security token included in the request is expired"),
  },
  {
    what: "a right that is missing",
    code: "PERMISSION_MISSING",
    fix: /Allow dynamodb:DescribeStream/,
    trouble: { operations: ["DescribeStream"], ...refuse("AccessDeniedException", NOT_ALLOWED) },
  },
  {
    what: "a page of somebody else",
    code: "ENDPOINT_FOREIGN",
    fix: /Correct endpoint/,
    trouble: { what: { kind: "answer", status: 404, contentType: "text/html", body: `<html>${SECRET}</html>` } },
  },
];

describe.skipIf(missing("nats"))("of a DynamoDB source", () => {
  test.each(cases)("`run` refuses, and `check` finds, $what", async ({ code, fix, section, trouble }) => {
    if (trouble !== undefined) double.troubles.add(trouble);
    const before = await streams();
    const ran = await command(["run"], section);
    const said = ran.stderr.split("\n").filter((line) => line !== "" && !line.startsWith("{"));
    expect(said).toEqual([expect.stringMatching(`^${code}: .`), expect.stringMatching(/^fix: ./)]);
    expect(said[1]).toMatch(fix);
    expect([ran.code, ran.stdout]).toEqual([2, ""]);
    expect(await streams()).toEqual(before);

    const checked = await command(["check", "--json"], section);
    expect(checked.code).not.toBe(0);
    const found = JSON.stringify(JSON.parse(checked.stdout));
    expect(found).toContain(`"${code}"`);
    expect(checked.stderr).toBe("");
    for (const { stdout, stderr } of [ran, checked]) expectNoSecret(stdout + stderr);
  });

  test("`run` refuses a certificate that nobody trusts, and reads with the authority's; TLS where there is none it names", async () => {
    const certificates = new Certificates(await scratchDir());
    const ca = certificates.selfSigned("ca");
    const { cert, key } = certificates.signed(ca, "server", "IP:127.0.0.1");
    const target = new URL(http.url);
    const front = createServer({ cert: readFileSync(cert), key: readFileSync(key) }, (request, response) => {
      const { method, headers, url } = request;
      const passed = requestOf({ host: target.hostname, port: target.port, method, headers, path: url }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      request.pipe(passed);
    });
    await new Promise<void>((resolve) => front.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void front.close());
    const endpoint = `https://127.0.0.1:${(front.address() as AddressInfo).port}`;

    const untrusted = await command(["run"], { endpoint });
    expect(untrusted.stderr).toMatch(/^TLS_UNTRUSTED: .+\nfix: .*NODE_EXTRA_CA_CERTS/m);
    const trusted = await command(["check", "--json"], { endpoint }, { NODE_EXTRA_CA_CERTS: ca.cert });
    expect(trusted.stdout).not.toContain("TLS_");
    expect(trusted.stdout).toMatch(/"code":\s*"TABLE_NOT_FOUND"/);
    const plain = await command(["run"], { endpoint: http.url.replace("http:", "https:") });
    expect(plain.stderr).toMatch(/^TLS_MISMATCH: .+\nfix: .*http:\/\//m);
    for (const { stdout, stderr } of [untrusted, trusted, plain]) expectNoSecret(stdout + stderr);
  });

  test.each<readonly [what: string, trouble: Trouble, code: string]>([
    [
      "a proxy's 502",
      { what: { kind: "answer", status: 502, contentType: "text/html", body: `<html>${SECRET}</html>` } },
      "SOURCE_FAILED",
    ],
    ["requests that are throttled", { what: THROTTLED }, "SOURCE_THROTTLED"],
    ["connections that break", { what: { kind: "reset" } }, "SOURCE_UNREACHABLE"],
  ])("a worker waits for the end of %s, red with the reason, and goes on by itself", async (_, trouble, code) => {
    const end = double.troubles.add(trouble);
    const worker = await WorkerProcess.start(configOf(), {
      env: { ...env, MILLRACE_LOG: "debug" },
      args: ["--verbose"],
    });
    onTestFinished(() => worker[Symbol.asyncDispose]());
    const page = async (path: string): Promise<string> =>
      (await fetch(`${worker.httpUrl}${path}`).catch(() => undefined))?.text() ?? "";
    await waitFor(async () => (await page("/readyz")).includes(code), { what: "the reason" });
    const pages = await Promise.all(["/readyz", "/api/status", "/metrics"].map(page));
    end();
    await waitFor(async () => (await page("/readyz")).includes('"ready":true'), {
      what: "it to go on",
    });
    expect(await worker.stop()).toBe(0);
    expectNoSecret(pages.join("\n") + worker.log());
    for (const line of worker.log().split("\n").filter(Boolean)) expect(() => JSON.parse(line), line).not.toThrow();
  });
});
