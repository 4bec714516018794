// Picks a loopback port that is free and stays free for a server that is stopped and started again.

import { createServer } from "node:net";

/** Each process has a part of the ports to itself: what is free here is not taken by one that looks at the same moment. */
const PART = 100;
const FIRST = 15_000 + (process.pid % 150) * PART;
let next = Math.floor(Math.random() * PART);

/**
 * A free port below the range that systems use for outgoing connections (Linux: 32768 and up): a client that keeps
 * reconnecting while its server is down could otherwise be given the server's own port.
 * @param preferred taken when it is free
 */
export async function freePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await isFree(preferred))) return preferred;
  for (;;) {
    const port = FIRST + (next++ % PART);
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
