// What `millrace sql` and `millrace init` print of a DynamoDB source: a policy of IAM as JSON, and commands of the AWS CLI.

import { ConfigError, MillraceError } from "../../../errors.ts";
import type { SetupText } from "../../capabilities.ts";
import { outboxText } from "../check/outbox.ts";
import type { DynamoApi } from "../client/api.ts";
import { translateError } from "../client/errors.ts";
import { NAMESPACE } from "../decode/record-decoder.ts";
import { readFacts, readNames } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";
import { isName } from "../options/table-pattern.ts";
import { type Home, homeOfArn, type PolicyOptions, policyLines, policyNotes } from "./policy.ts";

type Connect = (config: DynamoConfig) => Promise<DynamoApi>;

/** @param connect what asks with the credentials of whoever runs the command */
export function dynamoSetupText(connect: Connect): SetupText<DynamoConfig> {
  const policyOf = async (config: DynamoConfig): Promise<PolicyOptions> => ({
    tables: [...config.tables, ...(config.outbox === undefined ? [] : [config.outbox.table])],
    tags: config.tags !== undefined,
    home: await readHome(connect, config),
  });
  return {
    comment: "#",
    place: "in the account of its tables: a policy of IAM, for the worker's role or user",
    subjects: {
      role: {
        runBy: "an administrator",
        lines: async (_, config) => {
          const policy = await policyOf(config);
          return [...policyNotes(policy).map((note) => `# ${note}`), ...policyLines(policy)];
        },
      },
      outbox: { runBy: "whoever may make tables", lines: async (_, config) => outboxText(config) },
    },
    first: async (id, config) => {
      const api = await connect(config);
      try {
        const { tables } = await readFacts(api, config);
        const first = tables.find(({ page }) => page !== undefined) ?? tables[0];
        if (first === undefined) {
          throw new ConfigError("TABLE_NOT_FOUND", `there is no table to read as ${config.tables.join(", ")}`, {
            hint: "Name other tables, or another region or endpoint, or make the first table.",
          });
        }
        const collection = { namespace: NAMESPACE, collection: first.table };
        return { collection, user: id, lines: policyLines(await policyOf(config)) };
      } catch (error) {
        throw error instanceof MillraceError ? error : translateError(error);
      } finally {
        api.close();
      }
    },
    example: (_, config) =>
      policyLines({ tables: config.tables, tags: config.tags !== undefined, home: unknownHome(config) }),
  };
}

function unknownHome({ region }: Pick<DynamoConfig, "region">): Home {
  return { partition: undefined, region, account: undefined };
}

/** By a table's own name at the server, where whoever runs the command may ask for that. */
async function readHome(connect: Connect, config: DynamoConfig): Promise<Home> {
  const unknown = unknownHome(config);
  let api: DynamoApi | undefined;
  try {
    api = await connect(config);
    const names = config.tables.some(isName) ? config.tables.filter(isName) : await readNames(api, config);
    for (const name of names) {
      const facts = await api.describeTable(name).catch(() => undefined);
      if (facts !== undefined) return homeOfArn(facts.arn);
    }
    return unknown;
  } catch {
    return unknown;
  } finally {
    api?.close();
  }
}
