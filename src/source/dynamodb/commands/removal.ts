// What a source leaves in DynamoDB: nothing. Streams keep changes for a day, whoever reads them.

import type { Removal } from "../../capabilities.ts";
import type { DynamoConfig } from "../options/config.ts";

export const removal: Removal<DynamoConfig> = {
  parts: [],
  find: async () => ({
    lines: [
      "nothing in DynamoDB: a stream keeps changes for a day, whoever reads it; the policy, and the streams of the tables (StreamEnabled=false), are the administrator's",
    ],
    report: {},
    remove: async () => {},
  }),
};
