// A connection pooler that does not know replication.

import { connect, createServer, type Socket } from "node:net";
import { freePort } from "../../../src/dev/free-port.ts";

/** Lets ordinary connections through and refuses replication, as pgbouncer before 1.23 does. */
export async function startPooler(target: number): Promise<AsyncDisposable & { readonly port: number }> {
  const port = await freePort();
  const sockets = new Set<Socket>();
  const listener = createServer((client) => {
    sockets.add(client);
    client.on("error", () => {}); // its other side is gone
    client.once("data", (startup) => {
      if (startup.includes("replication\0")) {
        const fields = Buffer.from("SFATAL\0C08P01\0Munsupported startup parameter: replication\0\0");
        const head = Buffer.from("E\0\0\0\0");
        head.writeUInt32BE(fields.length + 4, 1);
        client.end(Buffer.concat([head, fields]));
        return;
      }
      const server = connect(target, "127.0.0.1");
      sockets.add(server);
      server.on("error", () => {});
      server.write(startup);
      client.pipe(server).pipe(client);
    });
  });
  await new Promise<void>((resolve) => listener.listen(port, "127.0.0.1", resolve));
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
}
