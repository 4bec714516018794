// Mail by TLS: to whom a password is told, and what is said where a server is not who it must be.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { beforeAll, expect, test } from "vitest";
import { freePort } from "../../../src/dev/free-port.ts";
import { type Certificate, Certificates } from "../../support/certificates.ts";
import { openedEndpoints } from "../../support/endpoints.ts";
import { ask, erp, SECRET, signed } from "../../support/ingress.ts";
import { mailServer } from "../../support/mail-server.ts";
import { WorkerProcess } from "../../support/process/worker-process.ts";
import { freshNats, missing, scratchDir } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const PASSWORD = "word-of-a-test";
let authority: Certificate;
let ours: Certificate;
let elsewhere: Certificate;
let expired: Certificate;

beforeAll(async () => {
  const certificates = new Certificates(await scratchDir());
  authority = certificates.selfSigned("authority");
  ours = certificates.signed(authority, "ours");
  elsewhere = certificates.signed(authority, "elsewhere", "DNS:mail.example.com");
  expired = certificates.signed(authority, "expired", "DNS:localhost", -1);
});

const withTls = ({ cert, key }: Certificate): object => ({
  ...{ cert: readFileSync(cert), key: readFileSync(key) },
  ...{ disabledCommands: [], allowInsecureAuth: false },
});

const at = (scheme: string, { port }: { readonly port: number }): object => ({
  ...{ kind: "email", smtp: `${scheme}://me:${PASSWORD}@localhost:${port}` },
  ...{ from: "ops@example.com", allowPrivate: true },
});

/** What the attempt at a mail fails by; undefined where it arrives. */
async function failure(mail: object): Promise<unknown> {
  await using endpoints = await openedEndpoints({ mail });
  return endpoints.send("mail", { to: "a@example.com", subject: "x", text: "x" }).then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** A server that says these words to EHLO and to STARTTLS, and keeps what it is told. */
async function plainServer(ehlo: string, startTls: string) {
  const told: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.write("220 mail.example.com\r\n");
    socket.on("data", (part) => {
      told.push(part.toString("latin1"));
      socket.write(part.toString().startsWith("EHLO") ? ehlo : startTls);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { port, told, [Symbol.dispose]: () => void server.close() };
}

test("to a server that offers no TLS no password is told, and the error says why", async () => {
  const answers: readonly (readonly [string, string])[] = [
    ["250-mail.example.com\r\n250 AUTH PLAIN LOGIN\r\n", "454 TLS not available\r\n"],
    ["250-mail.example.com\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN\r\n", "454 TLS not available\r\n"],
  ];
  for (const [ehlo, startTls] of answers) {
    using server = await plainServer(ehlo, startTls);
    expect(await failure(at("smtp", server))).toMatchObject({
      code: "ENDPOINT_UNREACHABLE",
      message: expect.stringContaining("it offers no TLS (STARTTLS), and a password is told to nobody without"),
      hint: expect.stringContaining("smtps://"),
    });
    const told = server.told.join("");
    expect(told).toMatch(/^EHLO [^\r]+\r\nSTARTTLS\r\n/);
    expect(told).not.toContain("AUTH");
    expect(told).not.toContain(PASSWORD);
    expect(told).not.toContain(Buffer.from(PASSWORD).toString("base64"));
  }
});

test("a certificate that nobody trusts is named, with what to do, and no password is told", async () => {
  for (const [scheme, secure] of [
    ["smtp", false],
    ["smtps", true],
  ] as const) {
    await using server = await mailServer({ ...withTls(ours), secure });
    expect(await failure(at(scheme, server))).toMatchObject({
      code: "ENDPOINT_UNREACHABLE",
      message: "the endpoint mail cannot be reached: its certificate is not trusted (UNABLE_TO_VERIFY_LEAF_SIGNATURE)",
      hint: expect.stringContaining("NODE_EXTRA_CA_CERTS"),
    });
    expect([server.logins, server.mails]).toEqual([[], []]);
  }
  await using old = await mailServer(withTls(expired));
  expect(await failure(at("smtp", old))).toMatchObject({ message: expect.stringContaining("CERT_HAS_EXPIRED") });
});

test.skipIf(missing("nats"))(
  "where the authority is trusted it logs in by STARTTLS, but not under another name",
  async () => {
    const nats = await freshNats();
    await using right = await mailServer(withTls(ours));
    await using wrong = await mailServer(withTls(elsewhere));
    const port = await freePort();
    const rule = (id: string): string =>
      `id: ${id}\non: { webhook: erp, type: down }\ndo: { send: ${id}, to: a@example.com, subject: Down, text: It is down. }\n`;
    await using worker = await WorkerProcess.start(
      {
        ...{ bus: { servers: nats.url }, sources: {}, webhooks: { erp }, ingress: { port }, rules: "./rules/*.yaml" },
        endpoints: { right: at("smtp", right), wrong: at("smtp", wrong) },
      },
      {
        env: { SECRET, NODE_EXTRA_CA_CERTS: authority.cert },
        files: { "rules/right.yaml": rule("right"), "rules/wrong.yaml": rule("wrong") },
      },
    );
    const ready = async () => (await fetch(`${worker.httpUrl}/readyz`)).status === 200;
    await waitFor(ready, { what: "the worker to be ready" });
    expect((await ask(port, signed('{"event":"down"}'))).status).toBe(200);
    await waitFor(() => right.mails.length > 0, { what: "the mail" });
    expect(right.logins).toEqual(["me"]);
    await waitFor(() => worker.log().includes("its certificate is another name's (ERR_TLS_CERT_ALTNAME_INVALID)"), {
      what: "the error",
    });
    expect([wrong.logins, wrong.mails]).toEqual([[], []]);
    expect(worker.log()).not.toContain(PASSWORD);
  },
);
