// Mail to a real SMTP server, and tickets of a desk: without a bus, as the endpoints of a worker carry them.

import { expect, test } from "vitest";
import { openedEndpoints as opened } from "../../support/endpoints.ts";
import { mailServer } from "../../support/mail-server.ts";
import { receive } from "../../support/receiver.ts";

test("a mail arrives, with an id that is the message's own however often it is sent", async () => {
  await using server = await mailServer();
  const mail = { kind: "email", smtp: `smtp://127.0.0.1:${server.port}`, from: "ops@example.com", allowPrivate: true };
  await using endpoints = await opened({ mail });
  for (let n = 0; n < 2; n++)
    await endpoints.send("mail", { to: "a@example.com", subject: "Down", text: "It is down." });
  expect(server.mails).toMatchObject([
    { from: "ops@example.com", to: ["a@example.com"], text: expect.stringContaining("It is down.") },
    {},
  ]);
  const ids = server.mails.map(({ text }) => /^Message-ID: <(msg_[0-9a-f]{40})@millrace>/im.exec(text)?.[1]);
  expect(ids[0]).toBeDefined();
  expect(new Set(ids).size).toBe(1);
});

test("mail goes through the guard, by name and by address, and reads neither files nor urls", async () => {
  await using server = await mailServer();
  const from = "ops@example.com";
  await using endpoints = await opened({
    address: { kind: "email", smtp: `smtp://127.0.0.1:${server.port}`, from },
    number: { kind: "email", smtp: `smtp://2130706433:${server.port}`, from },
    name: { kind: "email", smtp: `smtp://localhost:${server.port}`, from },
    open: { kind: "email", smtp: `smtp://127.0.0.1:${server.port}`, from, allowPrivate: true },
  });
  const message = { to: "a@example.com", subject: "x", text: "x" };
  for (const name of ["address", "number", "name"])
    await expect(endpoints.send(name, message)).rejects.toMatchObject({ code: "ENDPOINT_ADDRESS_REFUSED" });
  await expect(endpoints.send("open", { ...message, attachments: [{ path: "/etc/passwd" }] })).rejects.toThrow(
    /and no attachments/,
  );
  await expect(endpoints.send("open", { ...message, html: { path: "/etc/passwd" } })).rejects.toThrow(
    /html of a mail is no text/,
  );
  expect(server.mails).toEqual([]);
});

test("a password is told to no server that offers no TLS", async () => {
  await using server = await mailServer();
  const smtp = `smtp://me:word-of-a-test@127.0.0.1:${server.port}`;
  await using endpoints = await opened({ mail: { kind: "email", smtp, from: "ops@example.com", allowPrivate: true } });
  const sent = endpoints.send("mail", { to: "a@example.com", subject: "x", text: "x" });
  await expect(sent).rejects.toThrow(/the endpoint mail/);
  expect(server.logins).toEqual([]);
});

test("a mail that the server refuses is a failed attempt with the server's words", async () => {
  await using server = await mailServer({
    onRcptTo: (_: unknown, __: unknown, done: (error: Error) => void) =>
      done(Object.assign(new Error("no such user"), { responseCode: 550 })),
  });
  const smtp = `smtp://127.0.0.1:${server.port}`;
  await using endpoints = await opened({ mail: { kind: "email", smtp, from: "ops@example.com", allowPrivate: true } });
  await expect(endpoints.send("mail", { to: "a@example.com", subject: "x", text: "x" })).rejects.toMatchObject({
    ...{
      code: "ENDPOINT_REFUSED",
      message: "the endpoint mail answered 550",
      answer: expect.stringContaining("no such user"),
    },
  });
});

test("a ticket's id comes back as an event, the same one for the same message; an answer without one is a failure", async () => {
  await using receiver = await receive(({ nth, path }, response) => {
    response.writeHead(201, { "content-type": "application/json" });
    response.end(path === "/none" ? "{}" : JSON.stringify({ result: { sys_id: `INC${nth}` } }));
  });
  const at = (path: string) => ({
    kind: "itsm",
    url: receiver.url(path),
    ticket: "/result/sys_id",
    allowPrivate: true,
  });
  await using endpoints = await opened({ desk: at("/tickets"), none: at("/none") });
  await endpoints.send("desk", { short_description: "down" });
  await endpoints.send("desk", { short_description: "down" });
  expect(endpoints.published.map(({ id }) => id)).toEqual([endpoints.published[0]?.id, endpoints.published[0]?.id]);
  expect(endpoints.published[0]).toMatchObject({ origin: "_post", aggregate: "ticket", name: "created" });
  expect(JSON.parse(Buffer.from(endpoints.published[0]?.data ?? []).toString())).toMatchObject({
    ...{ endpoint: "desk", automation: "a", event: { id: "e-1", type: "order.created" } },
    ticket: expect.stringMatching(/^INC/),
  });
  expect(new Set(receiver.at("/tickets").map(({ headers }) => headers["idempotency-key"])).size).toBe(1);
  await expect(endpoints.send("none", { a: 1 })).rejects.toMatchObject({ code: "ENDPOINT_REFUSED" });
});
