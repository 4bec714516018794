// What a MongoDB source cannot be read for, on the wire double: each is one line with a code and a way out, and no endless retry.

import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError, type MillraceError, TransientError } from "../../../../src/errors.ts";
import { mongoConnector } from "../../../../src/source/mongodb/connector.ts";
import { Certificates } from "../../../support/certificates.ts";
import { DoubleShop, SHOP, type ShopOptions } from "../../../support/mongodb/double-shop.ts";
import { scratchDir } from "../../../support/servers.ts";

async function refusal(options: ShopOptions, prepare: (shop: DoubleShop) => void = () => {}): Promise<MillraceError> {
  const shop = await DoubleShop.start(options);
  prepare(shop);
  const error = await shop.open().then(
    () => new Error("it was opened"),
    (thrown: unknown) => thrown,
  );
  expect(shop.memory.value).toBeUndefined();
  return error as MillraceError;
}

interface Case {
  readonly what: string;
  readonly code: string;
  readonly message: RegExp;
  readonly options?: ShopOptions;
  readonly prepare?: (shop: DoubleShop) => void;
}

const NOT_ALLOWED =
  'not authorized on shop to execute command { aggregate: 1, pipeline: [ { $match: { secret: "row" } } ] }';

const cases: readonly Case[] = [
  {
    what: "a standalone server",
    code: "NO_REPLICA_SET",
    message: /no member of a replica set/,
    options: { topology: "single" },
  },
  {
    what: "a wrong password",
    code: "AUTH_FAILED",
    message: /Authentication failed/,
    options: { credentials: "worker:wrong" },
    prepare: ({ double }) =>
      double.fail({
        command: "saslStart",
        times: 99,
        code: 18,
        codeName: "AuthenticationFailed",
        message: "Authentication failed.",
      }),
  },
  {
    what: "a user that lacks a privilege, of which the command's values are not told",
    code: "PERMISSION_MISSING",
    message: /^MongoDB: not authorized on shop to execute command aggregate$/,
    prepare: ({ double }) =>
      double.fail({ command: "aggregate", times: 99, code: 13, codeName: "Unauthorized", message: NOT_ALLOWED }),
  },
  {
    what: "another name for the replica set",
    code: "REPLICA_SET_UNKNOWN",
    message: /replica set rs9/,
    options: { query: "?replicaSet=rs9" },
  },
  {
    what: "another name for the replica set of one host that is asked directly",
    code: "REPLICA_SET_UNKNOWN",
    message: /replica set rs9/,
    options: { query: "?replicaSet=rs9&directConnection=true" },
  },
  {
    what: "a load balancer",
    code: "LOAD_BALANCED",
    message: /loadBalanced=true/,
    options: { query: "?loadBalanced=true" },
  },
  {
    what: "an option that the driver does not know",
    code: "URL_INVALID",
    message: /replicasett/,
    options: { query: "?replicaSett=double" },
  },
  {
    what: "letters in the password that are not encoded",
    code: "URL_INVALID",
    message: /^(?!.*p@ss)/,
    options: { credentials: "worker:p@ss/word" },
  },
  {
    what: "a server that does not know a stage",
    code: "SERVER_UNSUPPORTED",
    message: /Unrecognized pipeline stage/,
    prepare: ({ double }) =>
      double.fail({
        command: "aggregate",
        times: 99,
        code: 40324,
        message: "Unrecognized pipeline stage name: '$changeStreamSplitLargeEvent'",
      }),
  },
  {
    what: "a server that does not know an option of the stream",
    code: "STREAM_REFUSED",
    message: /unknown field/,
    prepare: ({ double }) =>
      double.fail({
        command: "aggregate",
        times: 99,
        code: 40415,
        message: "BSON field '$changeStream.showExpandedEvents' is an unknown field.",
      }),
  },
];

describe("a MongoDB source", () => {
  test.each(cases)("refuses $what", async ({ code, message, options = {}, prepare }) => {
    const error = await refusal(options, prepare);

    expect(error).toMatchObject({ name: "ConfigError", code, hint: expect.stringMatching(/./) });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain("\n");
  });

  test("says which way TLS does not fit: wanted, not taken, not trusted, or another host's", async () => {
    const directory = await scratchDir();
    const certificates = new Certificates(directory);
    const ca = certificates.selfSigned("ca");
    const tls = certificates.signed(ca, "server");
    const trusted = `?tls=true&tlsCAFile=${encodeURIComponent(join(directory, "ca.crt"))}`;
    const elsewhere = certificates.signed(ca, "elsewhere", "DNS:elsewhere.example");

    expect(await refusal({ tls })).toMatchObject({ code: "TLS_MISMATCH", message: expect.stringMatching(/TLS alone/) });
    expect(await refusal({ query: "?tls=true" })).toMatchObject({
      code: "TLS_MISMATCH",
      message: expect.stringMatching(/takes no TLS/),
    });
    expect(await refusal({ tls, query: "?tls=true" })).toMatchObject({
      code: "TLS_UNTRUSTED",
      hint: expect.stringMatching(/tlsCAFile/),
    });
    expect(await refusal({ tls: elsewhere, query: trusted })).toMatchObject({
      code: "TLS_UNTRUSTED",
      hint: expect.stringMatching(/another host's/),
    });
    const shop = await DoubleShop.start({ tls, query: trusted });
    await shop.open();
    expect(shop.memory.value).toBeDefined();
  });

  test("keeps trying where nobody answers, and where a server hangs up on whoever comes", async () => {
    const away = await DoubleShop.start();
    await away.double.stop();
    const hangingUp = await DoubleShop.start();
    hangingUp.double.fail({ command: "hello", times: 999, close: true });
    hangingUp.double.fail({ command: "ismaster", times: 999, close: true });

    for (const shop of [away, hangingUp]) {
      const error = await shop.open().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(TransientError);
      expect(error).not.toBeInstanceOf(ConfigError);
      expect(error).toMatchObject({ code: "SOURCE_UNREACHABLE" });
    }
  });
});

test("check says that which cluster it is may not be asked, and nothing of one that says it", async () => {
  const shop = await DoubleShop.start();
  const codes = async (): Promise<readonly string[]> => {
    const found: string[] = [];
    const config = mongoConnector.parse(shop.section, "sources.shop");
    for await (const { code } of mongoConnector.check(SHOP, config, { saved: undefined })) found.push(code);
    return found;
  };
  expect(await codes()).not.toContain("CLUSTER_HIDDEN");
  shop.double.fail({ command: "replSetGetConfig", times: 9, code: 13, codeName: "Unauthorized", message: "no" });
  expect(await codes()).toContain("CLUSTER_HIDDEN");
});
