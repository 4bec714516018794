// What `millrace sql` and `millrace init` print of a MongoDB source: text for mongosh, for whoever has the rights to run it.

import { ConfigError } from "../../../errors.ts";
import type { SetupText } from "../../capabilities.ts";
import { outboxText } from "../check/outbox.ts";
import { connectMongo } from "../client/connect.ts";
import { translateError } from "../client/errors.ts";
import { readCollections } from "../facts/collection-facts.ts";
import type { MongoConfig } from "../options/config.ts";
import { roleText } from "./role-text.ts";

/** The worker never comes as who sets it up. */
const WORKER = "millrace";

export const setupText: SetupText<MongoConfig> = {
  comment: "//",
  place: "in mongosh, at the cluster of the source's url",
  subjects: {
    role: { runBy: "an administrator", lines: async (id, config) => roleText(id, config) },
    outbox: { runBy: "whoever may make collections", lines: async (_, config) => outboxText(config) },
  },
  first: async (id, config) => {
    await using client = await connectMongo(id, config);
    const [first] = await readCollections(client, config).catch((error: unknown) => {
      throw translateError(error);
    });
    if (first === undefined) {
      throw new ConfigError(
        "COLLECTION_NOT_FOUND",
        `there is no collection to read in ${config.databases.join(", ")}`,
        {
          hint: "Name another database in the url, or other collections, or make the first one: db.createCollection(NAME).",
        },
      );
    }
    const collection = { namespace: first.namespace, collection: first.name };
    return { collection, user: WORKER, lines: roleText(id, config, WORKER) };
  },
  example: (id, config) => roleText(id, config, WORKER),
};
