// A server of MongoDB's protocol: the whole contract on the bus in memory, and what gets into the stream on a real nats-server too.

import { describe } from "vitest";
import { mongoTarget } from "../../support/mongodb/mongo-target.ts";
import { missing } from "../../support/servers.ts";
import { realTime } from "../../support/virtual-time.ts";
import { jetStreamServer } from "../jetstream-server.ts";
import { memoryServer } from "../memory-server.ts";
import { mongoServer } from "./mongo-server.ts";
import { serverTarget } from "./mongo-targets.ts";
import { sourceContract } from "./source-contract.ts";
import { sourceGround } from "./source-ground.ts";
import { sourceOrderFacts } from "./source-order-facts.ts";

describe.skipIf(missing("mongodb"))(`the contract of a source, by ${mongoTarget},`, () => {
  sourceContract(mongoServer(serverTarget()), memoryServer(realTime));
});

describe.skipIf(missing("mongodb", "nats"))(`by ${mongoTarget}, on JetStream,`, async () => {
  sourceOrderFacts(sourceGround(mongoServer(serverTarget()), await jetStreamServer()));
});
