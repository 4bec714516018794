// A server that answers a login, and is never heard of again.

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { connectClient, endClient } from "../../../../../src/source/postgres/client/dial.ts";
import { cutWhenSilent } from "../../../../../src/source/postgres/client/silence.ts";

/** AuthenticationOk and ReadyForQuery. */
const WELCOME = Buffer.from("520000000800000000" + "5a0000000549", "hex");

test("a connection is cut when nothing is heard while it is asked for something, and not while it is idle", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.write(WELCOME));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const client = await connectClient({ connectionString: `postgres://me:none@127.0.0.1:${port}/db?sslmode=disable` });
  const { stream } = (client as unknown as { readonly connection: { readonly stream: Socket } }).connection;
  cutWhenSilent(client, 20);

  await once(stream, "timeout");
  expect(stream.destroyed).toBe(false);
  await expect(client.query("select 1")).rejects.toMatchObject({
    code: "SOURCE_UNREACHABLE",
    message: expect.stringContaining("nothing was heard"),
  });
  expect(stream.destroyed).toBe(true);
  await endClient(client);
});
