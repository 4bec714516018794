// Servers that the real SDK can ask: our double behind a port, and moto, which somebody else wrote, where it is.

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { DynamoDBClient, ListTablesCommand } from "@aws-sdk/client-dynamodb";
import { vi } from "vitest";
import { DynamoDouble, type DynamoDoubleOptions } from "../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../src/dev/dynamodb/dynamo-http.ts";
import { freePort } from "../../../src/dev/free-port.ts";
import { waitFor } from "../wait-for.ts";

export interface DynamoServer extends AsyncDisposable {
  readonly url: string;
  readonly client: DynamoDBClient;
}

export const REGION = "eu-west-1";
/** What these servers are asked with: none of them looks. */
const credentials = { accessKeyId: "key", secretAccessKey: "secret" };
const MOTO = "moto_server";

/** For what is read by the SDK's default chain of credentials, as a worker does; undone by vi.unstubAllEnvs. */
export function stubCredentials(): void {
  vi.stubEnv("AWS_ACCESS_KEY_ID", credentials.accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", credentials.secretAccessKey);
  vi.stubEnv("AWS_REGION", REGION);
}

/** Our double, by the clock of the machine. */
export async function startDouble(
  options: DynamoDoubleOptions = {},
): Promise<DynamoServer & { readonly double: DynamoDouble }> {
  const double = new DynamoDouble(options);
  const http = await DynamoHttp.start(double);
  const client = clientOf(http.url);
  return {
    ...{ double, url: http.url, client },
    [Symbol.asyncDispose]: async () => {
      client.destroy();
      await http[Symbol.asyncDispose]();
    },
  };
}

/** The program: `MOTO_SERVER`, else one in PATH or in the environment that the outside check makes; undefined: there is none. */
export function findMoto(): string | undefined {
  const places = (process.env.PATH ?? "").split(delimiter).map((place) => join(place, MOTO));
  const known = [process.env.MOTO_SERVER, ...places, join(tmpdir(), "millrace-accept-moto", "bin", MOTO)];
  return known.find((file) => file !== undefined && existsSync(file));
}

/** A process of its own, which forgets all when it ends. */
export async function startMoto(program: string): Promise<DynamoServer> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const moto = spawn(program, ["-H", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
  const ended = new Promise((resolve) => moto.once("exit", resolve));
  const client = clientOf(url);
  const stop = async (): Promise<void> => {
    client.destroy();
    moto.kill("SIGKILL");
    await ended;
  };
  try {
    await waitFor(() => client.send(new ListTablesCommand({})), { what: "moto", timeoutMs: 60_000 });
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, client, [Symbol.asyncDispose]: stop };
}

function clientOf(endpoint: string): DynamoDBClient {
  return new DynamoDBClient({ region: REGION, endpoint, credentials });
}
