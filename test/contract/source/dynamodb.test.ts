// A server of DynamoDB's protocol that somebody else wrote, by the real SDK: what the contract says of a log, a reading and the stream. Kills and
// losses are left to our double: the server has no part in the former, and forgets nothing on demand.

import { describe } from "vitest";
import { dynamoTarget } from "../../support/dynamodb/dynamo-target.ts";
import { missing } from "../../support/servers.ts";
import { realTime } from "../../support/virtual-time.ts";
import { memoryServer } from "../memory-server.ts";
import { dynamoHttpServer } from "./dynamo-http-server.ts";
import { serverTarget } from "./dynamo-targets.ts";
import { sourceGround } from "./source-ground.ts";
import { sourceLogFacts } from "./source-log-facts.ts";
import { sourceOrderFacts } from "./source-order-facts.ts";
import { sourceReadingFacts } from "./source-reading-facts.ts";

describe.skipIf(missing("dynamodb"))(`the contract of a source, by ${dynamoTarget},`, () => {
  const ground = sourceGround(dynamoHttpServer(serverTarget), memoryServer(realTime));
  sourceLogFacts(ground);
  sourceReadingFacts(ground);
  sourceOrderFacts(ground);
});
