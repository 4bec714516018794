// DynamoDB's connector over a server that a test writes down, on the bus in memory and in virtual time.

import { describe } from "vitest";
import { memoryServer } from "../memory-server.ts";
import { dynamoServer } from "./dynamo-server.ts";
import { sourceContract } from "./source-contract.ts";

describe("the contract of a source, by DynamoDB's connector,", () => {
  const bus = memoryServer();
  sourceContract(dynamoServer(bus.time), bus);
});
