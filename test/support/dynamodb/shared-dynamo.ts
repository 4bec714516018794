// A server of DynamoDB's protocol for one test file, beside our own double.

import { join } from "node:path";
import { freePort } from "../../../src/dev/free-port.ts";
import { ServerProcess } from "../../../src/dev/server-process.ts";
import { atEnd, scratchDir } from "../servers.ts";
import { foreignDynamo } from "./dynamo-target.ts";

let shared: Promise<string> | undefined;

/** The url of the file's own moto, or of the foreign server. */
export function sharedDynamo(): Promise<string> {
  if (shared === undefined) {
    shared = foreignDynamo === undefined ? startMoto() : Promise.resolve(foreignDynamo);
    atEnd(async () => {
      shared = undefined;
    });
  }
  return shared;
}

/** Another moto, which forgets all when the file ends. */
export async function startMoto(): Promise<string> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = new ServerProcess({
    name: "moto",
    file: process.env.MOTO_SERVER ?? "moto_server",
    args: ["-H", "127.0.0.1", "-p", String(port)],
    logFile: join(await scratchDir(), "moto.log"),
    user: undefined,
    endSignal: "SIGKILL",
    probe: async () => {
      await fetch(`${url}/moto-api/`);
    },
    startTimeoutMs: 60_000,
  });
  await server.start();
  atEnd(() => server.kill("SIGKILL"));
  return url;
}
