// The way in over real sockets: what is taken, what is refused and how, and that nothing of a refused request is stored.

import { Agent, request as httpRequest } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { expect, onTestFinished, test } from "vitest";
import { TransientError } from "../../../src/errors.ts";
import { ask, bytesOf, erp, openIngress, rawSend, signed } from "../../support/ingress.ts";
import { waitFor } from "../../support/wait-for.ts";

const body = '{ "event":"order.created", "one":1.0, "n":12345678901234567890 }';

test("a signed request is stored byte for byte, then answered; a copy of it is a duplicate", async () => {
  const { port, stored, counters } = await openIngress();
  const first = await ask(port, signed(body));
  expect(first).toMatchObject({ status: 200, json: { status: "accepted" } });
  expect(first.text).toMatch(/^content-type: application\/json\r$/im);
  expect(await ask(port, signed(body))).toMatchObject({ status: 200, json: { status: "duplicate" } });
  expect(stored()).toEqual([
    {
      subject: expect.stringMatching(/^events\._in\.erp\.order~2Ecreated\.p\d\d$/),
      text: expect.stringContaining(`"body":${body}}`),
    },
  ]);
  expect(counters.counts("erp")).toMatchObject({ accepted: 1, duplicate: 1, refused: {} });
});

test("of thirty copies at once one is accepted", async () => {
  const { port, stored } = await openIngress();
  const answers = await Promise.all(Array.from({ length: 30 }, () => ask(port, signed(body))));
  expect(answers.filter(({ json }) => json?.status === "accepted")).toHaveLength(1);
  expect(answers.filter(({ json }) => json?.status === "duplicate")).toHaveLength(29);
  expect(stored()).toHaveLength(1);
});

test.each([
  ["an unknown receiver", { path: "/in/nobody" }, 404, "path"],
  ["no receiver", { path: "/in/" }, 404, "path"],
  ["a name of every object", { path: "/in/constructor" }, 404, "path"],
  ["a name that is written otherwise", { path: "/in/%65rp" }, 404, "path"],
  ["the monitor's path", { method: "GET", path: "/metrics" }, 404, "path"],
  [
    "another content encoding",
    { headers: [["Content-Encoding", "gzip"]] as const, body: gzipSync(body) },
    415,
    "encoding",
  ],
  [
    "another transfer encoding",
    { headers: [["Transfer-Encoding", "gzip, chunked"]] as const, body: "" },
    415,
    "encoding",
  ],
  ["201 headers", { headers: Array.from({ length: 201 }, (_, nth) => [`X-${nth}`, "a"] as const) }, 431, "headers"],
  ["a signature of something else", { body: `${body} ` }, 401, "signature"],
])("%s is refused by its status and its reason", async (_, change, status, reason) => {
  const { port, stored, counters } = await openIngress();
  expect(await ask(port, signed(body, "d-1", change))).toMatchObject({ status, json: { status: "refused", reason } });
  expect(stored()).toEqual([]);
  expect(counters.counts(reason === "path" ? "" : "erp").refused).toEqual({ [reason]: 1 });
});

test.each(["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])("%s is 405 with what is allowed", async (method) => {
  const { port } = await openIngress();
  const { status, text } = await ask(port, { method });
  expect(status).toBe(405);
  expect(text).toMatch(/^allow: POST\r$/im);
});

test.each([
  ["no length", "POST /in/erp HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 411],
  ["no length under HTTP/1.0, and a body", "POST /in/erp HTTP/1.0\r\n\r\n{}", 411],
  ["no host", "POST /in/erp HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400],
  ["a negative length", "POST /in/erp HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400],
  ["a length of words", "POST /in/erp HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400],
  [
    "a length beyond all numbers",
    "POST /in/erp HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    400,
  ],
  ["two lengths", "POST /in/erp HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", 400],
  [
    "a length and chunks",
    "POST /in/erp HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    400,
  ],
  ["a space before the colon", "POST /in/erp HTTP/1.1\r\nHost: x\r\nContent-Length : 2\r\n\r\n{}", 400],
  ["a bare line feed", "POST /in/erp HTTP/1.1\nHost: x\nContent-Length: 2\n\n{}", 400],
  ["a chunk of no number", "POST /in/erp HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
  ["no HTTP", "\x16\x03\x01\x02\x00\x01\r\n\r\n", 400],
  ["an unknown method", "BREW /in/erp HTTP/1.1\r\nHost: x\r\n\r\n", 400],
  ["headers of 17 KiB", `POST /in/erp HTTP/1.1\r\nHost: x\r\nX-Long: ${"a".repeat(17 * 1024)}\r\n\r\n`, 431],
])("%s is refused, and the connection closed", async (_, text, status) => {
  const { port, stored } = await openIngress();
  const answer = await rawSend(port, text);
  expect(answer.status).toBe(status);
  expect(answer.text.match(/^HTTP\/1\.1 /gm)).toHaveLength(1);
  expect(stored()).toEqual([]);
});

test("headers that do not end are given up on, and so is a sender that says nothing", async () => {
  const { port } = await openIngress();
  const [slow, silent] = await Promise.all([rawSend(port, "POST /in/erp HTTP/1.1\r\nHost: x\r\n"), rawSend(port)]);
  expect(slow).toMatchObject({ status: 408, json: { status: "refused", reason: "timeout" } });
  expect(silent).toMatchObject({ status: 408 });
});

test("a body that says that it is too large is refused before it is read", async () => {
  const { port } = await openIngress({ webhooks: { erp: { ...erp, maxBytes: 100 } } });
  const head = bytesOf({ headers: [["Content-Length", "101"]] });
  expect(await rawSend(port, head)).toMatchObject({ status: 413, json: { reason: "size" } });
});

test("an upload that is refused early leaves the sender's next request alone, and its answer is read", async () => {
  const { port } = await openIngress();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  const upload = (size: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port, agent, method: "POST", path: "/in/erp" };
      const sending = httpRequest(options, (answer) => {
        answer.resume().on("end", () => resolve(answer.statusCode ?? 0));
      });
      sending.on("error", reject).end(Buffer.alloc(size, "a"));
    });
  expect([await upload(1_500_000), await upload(10)]).toEqual([413, 401]);
});

test("a body in chunks is refused as soon as it is too large", async () => {
  const { port, stored } = await openIngress({ webhooks: { erp: { ...erp, maxBytes: 100 } } });
  const head = bytesOf({ headers: [["Transfer-Encoding", "chunked"]] });
  const answer = await rawSend(port, head, `200\r\n${"x".repeat(512)}\r\n`);
  expect(answer).toMatchObject({ status: 413, json: { reason: "size" } });
  expect(stored()).toEqual([]);
});

test("a body in chunks of one byte is the same body", async () => {
  const { port, stored } = await openIngress();
  const request = signed(body);
  const chunks = [...Buffer.from(body)].map((byte) => `1\r\n${String.fromCharCode(byte)}\r\n`).join("");
  const head = bytesOf({
    ...request,
    headers: [...(request.headers ?? []), ["Transfer-Encoding", "chunked"]],
    body: "",
  });
  expect(await rawSend(port, head, `${chunks}0\r\n\r\n`)).toMatchObject({ status: 200 });
  expect(stored()[0]?.text).toContain(body);
});

test("one address gets so many requests, and is told when to come again", async () => {
  const { port } = await openIngress({ ingress: { addressRate: { limit: 3, per: "1d" } } });
  const statuses: number[] = [];
  for (let nth = 0; nth < 3; nth++) statuses.push((await ask(port, signed(body))).status);
  const over = await ask(port, signed(body));
  expect(statuses).toEqual([200, 200, 200]);
  expect(over).toMatchObject({ status: 429, json: { reason: "address-rate" } });
  expect(over.text).toMatch(/^retry-after: 28\d{3}\r$/im);
});

test("a receiver's rate counts what is verified alone", async () => {
  const { port, stored } = await openIngress({ webhooks: { erp: { ...erp, rate: { limit: 2, per: "1d" } } } });
  for (let nth = 0; nth < 5; nth++) expect((await ask(port, signed(body, "x", { body: "{}" }))).status).toBe(401);
  const answers = [];
  for (const id of ["1", "2", "3"]) answers.push(await ask(port, signed(body, id)));
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
  expect(answers[2]?.text).toMatch(/^retry-after: 43\d{3}\r$/im);
  expect(stored()).toHaveLength(2);
});

test("senders that only come again after a 5xx get 503 above a limit", async () => {
  const alerts = { provider: "alertmanager", bearer: { env: "TOKEN" } };
  const { port } = await openIngress({ webhooks: { alerts }, ingress: { addressRate: { limit: 1, per: "1d" } } });
  await ask(port, { path: "/in/alerts" });
  expect(await ask(port, { path: "/in/alerts" })).toMatchObject({ status: 503, json: { reason: "address-rate" } });
});

test("while the bus is away it is 503 with Retry-After, and 401 for what is not signed", async () => {
  const { port, counters } = await openIngress({ bus: () => undefined });
  const away = await ask(port, signed(body));
  expect(away).toMatchObject({ status: 503, json: { reason: "bus" } });
  expect(away.text).toMatch(/^retry-after: 5\r$/im);
  expect((await ask(port, signed(body, "x", { body: "{}" }))).status).toBe(401);
  expect(counters.counts("erp").refused).toEqual({ bus: 1, signature: 1 });
});

test("what the bus refuses is 503, and what breaks in our own code is 500 without a word of why", async () => {
  const refusing = await openIngress({
    bus: () => ({ receive: () => Promise.reject(new TransientError("BUS_STORE_FULL", "full")) }),
  });
  expect(await ask(refusing.port, signed(body))).toMatchObject({ status: 503, json: { reason: "bus" } });
  const broken = await openIngress({ bus: () => ({ receive: () => Promise.reject(new TypeError(SECRET_TEXT)) }) });
  const answer = await ask(broken.port, signed(body));
  expect(answer).toMatchObject({ status: 500, json: { status: "refused", reason: "error" } });
  expect(answer.text).not.toContain(SECRET_TEXT);
});
const SECRET_TEXT = "inside";

test("a bus that does not answer is given up on in time for the sender", async () => {
  const { port } = await openIngress({ bus: () => ({ receive: () => new Promise(() => {}) }) });
  expect(await ask(port, signed(body))).toMatchObject({ status: 503, json: { reason: "bus" } });
});

test("two requests at once on one connection get two answers, in order", async () => {
  const { port, stored } = await openIngress();
  const first = bytesOf(signed(body, "1", { headers: [["Connection", "keep-alive"]] }));
  const answer = await rawSend(port, Buffer.concat([first, bytesOf(signed(body, "1"))]));
  expect(answer.text.match(/"status":"\w+"/g)).toEqual(['"status":"accepted"', '"status":"duplicate"']);
  expect(stored()).toHaveLength(1);
});

test("what is no HTTP behind a request on its connection does not cost it its answer", async () => {
  const { port, stored } = await openIngress();
  const first = bytesOf(signed(body, "1", { headers: [["Connection", "keep-alive"]] }));
  const { text } = await rawSend(port, Buffer.concat([first, Buffer.from("\x00\x01 no HTTP\r\n\r\n")]));
  expect(text).toContain('"status":"accepted"');
  expect(text.match(/^HTTP\/1\.1 /gm)).toHaveLength(1);
  expect(stored()).toHaveLength(1);
});

test("who asks whether to send the body is told to, unless it would be refused", async () => {
  const { port } = await openIngress();
  const request = signed(body);
  const expecting = (of: typeof request) =>
    bytesOf({ ...of, headers: [...(of.headers ?? []), ["Expect", "100-continue"]] });
  expect((await rawSend(port, expecting(request))).text).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /);
  expect((await rawSend(port, expecting({ ...request, path: "/in/nobody" }))).text).toMatch(/^HTTP\/1\.1 404 /);
});

test("a sender that leaves in the middle costs nothing but a count", async () => {
  const { port, counters, stored } = await openIngress();
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => {});
  socket.write(bytesOf({ headers: [["Content-Length", "100"]], body: "{" }), () => socket.destroy());
  await waitFor(async () => counters.counts("erp").refused["broken-off"] === 1, { what: "its count" });
  expect(await ask(port, signed(body))).toMatchObject({ status: 200 });
  expect(stored()).toHaveLength(1);
});

test("at the end what is in hand is answered, and nobody else is let in", async () => {
  let store = (_: { readonly stored: true }): void => {};
  const receiving = new Promise<{ readonly stored: true }>((resolve) => {
    store = resolve;
  });
  let asked = false;
  const bus = () => ({
    receive: () => {
      asked = true;
      return receiving;
    },
  });
  const { port, listener } = await openIngress({ bus });
  const answer = rawSend(port, bytesOf(signed(body, "1", { headers: [["Connection", "keep-alive"]] })));
  await waitFor(async () => asked, { what: "it to be in hand" });
  const closed = listener.close();
  expect(await ask(port, signed(body))).toMatchObject({ status: 0 });
  store({ stored: true });
  expect((await answer).text).toMatch(/^HTTP\/1\.1 200 .*connection: close/is);
  await closed;
});

test("the replay guard takes a body that was seen as a duplicate, whatever its id", async () => {
  const { port, stored } = await openIngress({ webhooks: { erp: { ...erp, replayGuard: true } } });
  expect((await ask(port, signed(body, "1"))).json?.status).toBe("accepted");
  expect((await ask(port, signed(body, "2"))).json?.status).toBe("duplicate");
  expect((await ask(port, signed(`${body} `, "2"))).json?.status).toBe("accepted");
  expect(stored()).toHaveLength(2);
});

test("without an id equal bodies are one event, named by their hash", async () => {
  const { id: _, ...plain } = erp;
  const { port, stored } = await openIngress({ webhooks: { erp: plain } });
  expect((await ask(port, signed(body, "1"))).json?.status).toBe("accepted");
  expect((await ask(port, signed(body, "2"))).json?.status).toBe("duplicate");
  expect(stored()).toHaveLength(1);
});

const alert = (fingerprint: string) =>
  `{"status":"firing","fingerprint":"${fingerprint}","startsAt":"2026-11-12T09:51:03.157Z"}`;
const alerts = (...list: readonly string[]) => ({
  path: "/in/alerts",
  headers: [
    ["Content-Type", "application/json"],
    ["Authorization", "Bearer a-token-of-the-tests"],
  ] as const,
  body: `{"version":"4","alerts":[${list.join(" , ")}]}`,
});

test("each alert of a request is an event; it is a duplicate only when all of them are", async () => {
  const { port, stored } = await openIngress({
    webhooks: { alerts: { provider: "alertmanager", bearer: { env: "TOKEN" }, replayGuard: true } },
  });
  expect((await ask(port, alerts(alert("a"), alert("b")))).json?.status).toBe("accepted");
  expect((await ask(port, alerts(alert("a"), alert("c")))).json?.status).toBe("accepted");
  expect((await ask(port, alerts(alert("a"), alert("c")))).json?.status).toBe("duplicate");
  expect(stored()).toHaveLength(3);
});
