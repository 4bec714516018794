// Servers that the real SDK can ask: our double behind a port, and moto, which somebody else wrote, where it is.

import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { vi } from "vitest";
import { DynamoDouble, type DynamoDoubleOptions } from "../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoHttp } from "../../../src/dev/dynamodb/dynamo-http.ts";
import { missing } from "../servers.ts";
import { foreignDynamo } from "./dynamo-target.ts";
import { startMoto } from "./shared-dynamo.ts";

export interface DynamoServer extends AsyncDisposable {
  readonly url: string;
  readonly client: DynamoDBClient;
}

export const REGION = "eu-west-1";
/** What these servers are asked with: none of them looks. */
const credentials = { accessKeyId: "key", secretAccessKey: "secret" };

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

/** A process of its own, ended with the file. */
async function startOwnMoto(): Promise<DynamoServer> {
  const url = await startMoto();
  const client = clientOf(url);
  return { url, client, [Symbol.asyncDispose]: async () => client.destroy() };
}

/** What a test can run on: the name, whether it is not to be had, and how it is started. */
export const dynamoTargets: readonly (readonly [string, boolean, () => Promise<DynamoServer>])[] = [
  ["our double", false, startDouble],
  ["moto", missing("dynamodb") || foreignDynamo !== undefined, startOwnMoto],
];

function clientOf(endpoint: string): DynamoDBClient {
  return new DynamoDBClient({ region: REGION, endpoint, credentials });
}
