// One address that leads to all nodes of a double in turn, a connection each, as a name does that stands for several mongos.

import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { onTestFinished } from "vitest";
import type { MongoDouble } from "./double/mongodb-double.ts";

/** @returns a url */
export async function oneName(double: MongoDouble): Promise<string> {
  const ports = [...double.url.matchAll(/:(\d+)/g)].map(([, port]) => Number(port));
  let nth = 0;
  const server = createServer((socket) => {
    const upstream = connect(ports[nth++ % ports.length] ?? 0, "localhost");
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      one.on("error", () => {}); // the other side hears of its end
      one.on("close", () => other.destroy());
      one.pipe(other);
    }
  });
  server.listen(0, "localhost");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `mongodb://localhost:${(server.address() as AddressInfo).port}/`;
}
