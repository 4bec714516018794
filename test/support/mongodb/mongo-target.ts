// What the tests of the MongoDB source run on: the server that MONGODB_URI names, else a SecantusDB for each test file.

import { SECANTUS_VERSION } from "../../../src/dev/secantus.ts";
import { installSecantus } from "./install-secantus.ts";

/** A server that is not the tests' own: a member of a replica set, or mongos. Nothing of it is stopped. */
export const foreignMongo: string | undefined = process.env.MONGODB_URI || undefined;

/** How the target is called in the tests' names. */
export const mongoTarget: string =
  foreignMongo === undefined ? `SecantusDB ${SECANTUS_VERSION}` : "the server that MONGODB_URI names";

/** For once a run: sees that there is a target, and says which. @throws Error that says why there is none */
export async function findMongo(): Promise<string> {
  if (foreignMongo === undefined) process.env.MILLRACE_SECANTUS = await installSecantus(); // the files' processes inherit it
  const isNot = foreignMongo === undefined ? ", which speaks MongoDB's protocol and is not MongoDB" : "";
  return `the tests of the MongoDB source run on ${mongoTarget}${isNot}`;
}
