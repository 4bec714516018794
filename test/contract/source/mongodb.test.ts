// A server of MongoDB's protocol: the whole contract on the bus in memory, and what gets into the stream on a real nats-server too.

import { describe } from "vitest";
import { freshSecantus } from "../../support/mongodb/mongo-servers.ts";
import { foreignMongo, mongoTarget } from "../../support/mongodb/mongo-target.ts";
import { missing } from "../../support/servers.ts";
import { realTime } from "../../support/virtual-time.ts";
import { jetStreamServer } from "../jetstream-server.ts";
import { memoryServer } from "../memory-server.ts";
import { type MongoTarget, mongoServer } from "./mongo-server.ts";
import { sourceContract } from "./source-contract.ts";
import { sourceGround } from "./source-ground.ts";
import { sourceOrderFacts } from "./source-order-facts.ts";

/** More than any test writes, and less than is written to lose them. */
const OPLOG_ENTRIES = 3000;

function target(): MongoTarget {
  if (foreignMongo !== undefined) return { url: async () => foreignMongo as string };
  let server: Promise<string> | undefined;
  return {
    url: () => {
      server ??= freshSecantus({ oplogEntries: OPLOG_ENTRIES }).then(({ url }) => url);
      return server;
    },
    loseLog: async (client) => {
      const noise = client.db("noise").collection("noise");
      for (let left = OPLOG_ENTRIES; left >= 0; left -= 1000)
        await noise.insertMany(Array.from({ length: 1000 }, () => ({})));
      await client.db("admin").command({ "secantusAdmin.pruneOplog": 1 });
    },
  };
}

describe.skipIf(missing("mongodb"))(`the contract of a source, by ${mongoTarget},`, () => {
  sourceContract(mongoServer(target()), memoryServer(realTime));
});

describe.skipIf(missing("mongodb", "nats"))(`by ${mongoTarget}, on JetStream,`, async () => {
  sourceOrderFacts(sourceGround(mongoServer(target()), await jetStreamServer()));
});
