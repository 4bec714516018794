// A real Postgres: the whole contract on the bus in memory, and what gets into the stream on a real nats-server too.

import { describe } from "vitest";
import { missing } from "../../support/servers.ts";
import { realTime } from "../../support/virtual-time.ts";
import { jetStreamServer } from "../jetstream-server.ts";
import { memoryServer } from "../memory-server.ts";
import { postgresServer } from "./postgres-server.ts";
import { sourceContract } from "./source-contract.ts";
import { sourceGround } from "./source-ground.ts";
import { sourceOrderFacts } from "./source-order-facts.ts";

describe.skipIf(missing("postgres"))("the contract of a source, by Postgres,", () => {
  sourceContract(postgresServer, memoryServer(realTime));
});

describe.skipIf(missing("postgres", "nats"))("by Postgres, on JetStream,", async () => {
  sourceOrderFacts(sourceGround(postgresServer, await jetStreamServer()));
});
