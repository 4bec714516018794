// Just enough of a NATS server to be taken for one of an older version: no such binary comes to the test machines.

import { once } from "node:events";
import { createServer, type Socket } from "node:net";

export interface OldNats extends AsyncDisposable {
  readonly url: string;
  /** Subjects of what it was sent, requests to JetStream left out. */
  published(): readonly string[];
}

/** @param port a free one by default */
export async function oldNats(version: string, port = 0): Promise<OldNats> {
  const sockets = new Set<Socket>();
  let heard = "";
  const server = createServer((socket) => {
    sockets.add(socket);
    const info = { server_id: "OLD", version, proto: 1, headers: true, jetstream: true, max_payload: 1_048_576 };
    socket.write(`INFO ${JSON.stringify(info)}\r\n`);
    socket.on("data", (data) => {
      heard += data.toString("latin1");
      if (data.includes("PING")) socket.write("PONG\r\n");
    });
    socket.on("error", () => {}); // the client may be gone already
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it does not listen");
  return {
    url: `nats://127.0.0.1:${address.port}`,
    published: () =>
      [...heard.matchAll(/^H?PUB (\S+)/gm)].map(([, subject = ""]) => subject).filter((to) => !to.startsWith("$JS.")),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
