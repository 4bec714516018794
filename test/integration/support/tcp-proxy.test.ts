// The proxy that breaks connections for the fault tests: each mode does what it says.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { waitFor } from "../../support/wait-for.ts";

let server: Server;
let proxy: TcpProxy;
let accepted: Socket[];

beforeEach(async () => {
  accepted = [];
  server = createServer((socket) => {
    accepted.push(socket);
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  proxy = await TcpProxy.start((server.address() as { port: number }).port);
});

afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  for (const socket of accepted) socket.destroy();
  server.close();
});

/** A client of an echo server, with what came back so far. */
async function client(): Promise<{ readonly socket: Socket; text: string; pieces: number }> {
  const socket = connect(proxy.port, "127.0.0.1");
  socket.on("error", () => {});
  const state = { socket, text: "", pieces: 0 };
  socket.on("data", (data) => {
    state.text += data.toString();
    state.pieces++;
  });
  await once(socket, "connect");
  return state;
}

test("an honest proxy passes everything in both directions", async () => {
  const state = await client();

  state.socket.write("hello");

  await waitFor(() => state.text === "hello", { what: "the echo" });
});

test("a cut resets open connections, and new ones work", async () => {
  const first = await client();
  await waitFor(() => accepted.length === 1, { what: "the server's side" });

  proxy.cut();
  await waitFor(() => first.socket.destroyed, { what: "the first connection to end" });
  const second = await client();
  second.socket.write("x");

  await waitFor(() => second.text === "x", { what: "the echo" });
});

test("a black hole swallows one direction, and heals without a loss", async () => {
  const state = await client();
  state.socket.write("a");
  await waitFor(() => state.text === "a", { what: "the first echo" });

  proxy.blackHole("down");
  const received = once(accepted[0] as Socket, "data");
  state.socket.write("b");
  await received;
  const inside = state.text;
  await proxy.heal();

  expect(inside).toBe("a");
  await waitFor(() => state.text === "ab", { what: "what was held" });
});

test("a black hole keeps the end of a connection from the other side", async () => {
  const state = await client();
  await waitFor(() => accepted.length === 1, { what: "the server's side" });
  const other = accepted[0] as Socket;

  proxy.blackHole();
  state.socket.destroy();
  await waitFor(() => proxy.connections === 0, { what: "the proxy to see the end" });
  const halfOpen = !other.destroyed;
  await proxy.heal();

  expect(halfOpen).toBe(true);
  await waitFor(() => other.destroyed, { what: "the server to see the end" });
});

test("a delay holds every chunk for its time", async () => {
  const state = await client();
  const start = performance.now();

  proxy.delay(50);
  state.socket.write("slow");
  await waitFor(() => state.text === "slow", { what: "the echo" });

  expect(performance.now() - start).toBeGreaterThan(95);
});

test("a trickle cuts what comes into small pieces", async () => {
  const state = await client();

  proxy.trickle(2);
  state.socket.write("abcdefgh");
  await waitFor(() => state.text === "abcdefgh", { what: "the echo" });

  expect(state.pieces).toBeGreaterThan(1);
});

test("a trickle that is healed on the way loses nothing", async () => {
  const state = await client();

  proxy.trickle(1);
  state.socket.write("abcdefgh".repeat(20));
  await waitFor(() => state.text.length > 2, { what: "the first pieces" });
  await proxy.heal();

  await waitFor(() => state.text === "abcdefgh".repeat(20), { what: "the whole echo" });
});

test("a refusing proxy takes no new connection until it is healed on the same port", async () => {
  await proxy.refuse();
  const socket = connect(proxy.port, "127.0.0.1");
  const [refused] = await once(socket, "error");
  await proxy.heal();
  const state = await client();
  state.socket.write("x");

  expect(refused).toMatchObject({ code: "ECONNREFUSED" });
  await waitFor(() => state.text === "x", { what: "the echo" });
});

test("a forgotten connection carries nothing, a new one does", async () => {
  const first = await client();
  await waitFor(() => accepted.length === 1, { what: "the server's side" });

  proxy.forget();
  first.socket.write("a");
  const second = await client();
  second.socket.write("b");
  await waitFor(() => second.text === "b", { what: "the second echo" });
  const inside = first.text;
  await proxy.heal();

  expect(inside).toBe("");
  await waitFor(() => first.text === "a", { what: "what was held" });
});

test("the end of a forgotten connection reaches the other side once healed", async () => {
  const state = await client();
  await waitFor(() => accepted.length === 1, { what: "the server's side" });
  const other = accepted[0] as Socket;

  proxy.forget();
  state.socket.destroy();
  await waitFor(() => proxy.connections === 0, { what: "the proxy to see the end" });
  const halfOpen = !other.destroyed;
  await proxy.heal();

  expect(halfOpen).toBe(true);
  await waitFor(() => other.destroyed, { what: "the server to see the end" });
});

test("leftovers arrive when they are delivered, long after their client has lost its connection", async () => {
  const first = await client();
  await waitFor(() => accepted.length === 1, { what: "the server's side" });
  const server = accepted[0] as Socket;
  let received = "";
  server.on("data", (data) => {
    received += data.toString();
  });

  const leftovers = proxy.keepBack();
  first.socket.write("late");
  await waitFor(() => leftovers.bytes.toString() === "late", { what: "the proxy to have it" });
  leftovers.cut();
  await waitFor(() => first.socket.destroyed, { what: "the client to lose its connection" });
  const second = await client();
  second.socket.write("new");
  await waitFor(() => second.text === "new", { what: "the echo on a new connection" });
  const before = [received, server.destroyed];
  leftovers.deliver();

  expect(before).toEqual(["", false]);
  await waitFor(() => received === "late" && server.destroyed, { what: "the leftovers and the end" });
});

test("leftovers of a connection that goes on arrive in order", async () => {
  const state = await client();
  const leftovers = proxy.keepBack();
  state.socket.write("a");
  await waitFor(() => leftovers.bytes.length === 1, { what: "the proxy to have it" });

  leftovers.deliver();
  state.socket.write("b");

  await waitFor(() => state.text === "ab", { what: "both echoes" });
});
