// Our double of DynamoDB behind a port, by the real SDK: the whole contract on the bus in memory.

import { describe } from "vitest";
import { realTime } from "../../support/virtual-time.ts";
import { memoryServer } from "../memory-server.ts";
import { dynamoHttpServer } from "./dynamo-http-server.ts";
import { doubleTarget } from "./dynamo-targets.ts";
import { sourceContract } from "./source-contract.ts";

describe("the contract of a source, by our double of DynamoDB,", () => {
  sourceContract(dynamoHttpServer(doubleTarget), memoryServer(realTime));
});
