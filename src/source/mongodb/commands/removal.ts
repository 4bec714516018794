// What a source leaves in its database: nothing. MongoDB keeps its oplog by size and age, whoever reads it.

import type { Removal } from "../../capabilities.ts";
import type { MongoConfig } from "../options/config.ts";

export const removal: Removal<MongoConfig> = {
  parts: [],
  find: async () => ({
    lines: [
      "nothing in its database: MongoDB keeps its oplog whoever reads it; its user, its role (db.dropRole) and changeStreamPreAndPostImages of collections are the administrator's",
    ],
    report: {},
    remove: async () => {},
  }),
};
