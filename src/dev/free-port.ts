// Picks a loopback port that is free and stays free for a server that is stopped and started again.

import { createServer } from "node:net";

/**
 * A free port below the range that systems use for outgoing connections (Linux: 32768 and up): a client that keeps
 * reconnecting while its server is down could otherwise be given the server's own port.
 * @param preferred taken when it is free
 */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await isFree(preferred))) return preferred;
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
