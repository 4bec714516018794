// What the tests of the DynamoDB source run on beside our own double: the server that DYNAMODB_ENDPOINT names, else a moto for each file.

import { installMoto, MOTO_VERSION } from "./install-moto.ts";

/** A server that is not the tests' own, by http, with the credentials and the region of the environment. */
export const foreignDynamo: string | undefined = process.env.DYNAMODB_ENDPOINT || undefined;

/** How the target is called in the tests' names. */
export const dynamoTarget: string =
  foreignDynamo === undefined ? `moto ${MOTO_VERSION}` : "the server that DYNAMODB_ENDPOINT names";

/** For once a run: sees that there is a target, and says which. @throws Error that says why there is none */
export async function findDynamo(): Promise<string> {
  if (foreignDynamo === undefined) process.env.MOTO_SERVER = await installMoto(); // the files' processes inherit it
  const isNot = foreignDynamo === undefined ? ", which speaks DynamoDB's protocol and is not DynamoDB" : "";
  return `the tests of the DynamoDB source run on our double, and on ${dynamoTarget}${isNot}`;
}

/** For servers that take any: nothing of the environment is looked at. */
export function useTestCredentials(): void {
  if (foreignDynamo !== undefined) return;
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_REGION: "eu-west-1" });
  delete process.env.AWS_SESSION_TOKEN;
}
