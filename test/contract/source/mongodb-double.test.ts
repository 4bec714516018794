// Our wire double of MongoDB: the whole contract on the bus in memory.

import { describe } from "vitest";
import { realTime } from "../../support/virtual-time.ts";
import { memoryServer } from "../memory-server.ts";
import { mongoServer } from "./mongo-server.ts";
import { doubleTarget } from "./mongo-targets.ts";
import { sourceContract } from "./source-contract.ts";

describe("the contract of a source, by the wire double of MongoDB,", () => {
  sourceContract(mongoServer(doubleTarget), memoryServer(realTime));
});
