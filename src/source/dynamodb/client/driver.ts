// The AWS SDK, loaded when it is first needed: a worker without a source of this kind does not spend its memory.

import { ConfigError } from "../../../errors.ts";

interface Driver {
  readonly database: typeof import("@aws-sdk/client-dynamodb");
  readonly streams: typeof import("@aws-sdk/client-dynamodb-streams");
}

/** What the SDK would write about itself has no place among a worker's lines. */
export const quiet = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** @throws ConfigError DRIVER_MISSING */
export async function driver(): Promise<Driver> {
  try {
    const [database, streams] = await Promise.all([
      import("@aws-sdk/client-dynamodb"),
      import("@aws-sdk/client-dynamodb-streams"),
    ]);
    return { database, streams };
  } catch (error) {
    throw new ConfigError("DRIVER_MISSING", "the packages of the AWS SDK cannot be loaded", {
      hint: "Install them: npm install @aws-sdk/client-dynamodb @aws-sdk/client-dynamodb-streams.",
      cause: error,
    });
  }
}
