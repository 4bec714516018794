// Operations on tables: made, described, listed, changed, dropped.

import { invalid } from "./fault.ts";
import type { DynamoState } from "./state.ts";
import { limitOf, type Operation, type Output } from "./stream-operations.ts";
import type { KeyAttribute, ViewType } from "./streams.ts";
import type { AttributeDefinition, Table } from "./tables.ts";

interface StreamSpecification {
  readonly StreamEnabled?: boolean;
  readonly StreamViewType?: ViewType;
}
interface Tag {
  readonly Key: string;
  readonly Value: string;
}

const VIEWS: ReadonlySet<unknown> = new Set(["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY"]);

export const tableOperations: Readonly<Record<string, Operation>> = {
  CreateTable: (state, { TableName, KeySchema, AttributeDefinitions, StreamSpecification, Tags }) => {
    const keySchema = [...(KeySchema as readonly KeyAttribute[])].sort((a) => (a.KeyType === "HASH" ? -1 : 1));
    const definitions = AttributeDefinitions as readonly AttributeDefinition[];
    for (const { AttributeName } of keySchema)
      if (!definitions.some((one) => one.AttributeName === AttributeName))
        throw invalid(
          "One or more parameter values were invalid: Some index key attributes are not defined in AttributeDefinitions",
        );
    const table = state.createTable({ name: String(TableName), keySchema, definitions });
    tag(table, Tags);
    specify(state, table, StreamSpecification);
    return { TableDescription: describe(table, "ACTIVE") };
  },
  DeleteTable: (state, { TableName }) => {
    const table = state.table(TableName);
    state.dropTable(table);
    return { TableDescription: describe(table, "DELETING") };
  },
  DescribeTable: (state, { TableName }) => ({ Table: describe(state.table(TableName), "ACTIVE") }),
  ListTables: ({ tables, settings }, { ExclusiveStartTableName: after, Limit }) => {
    const limit = Math.min(settings.pageTables, limitOf(Limit, 100));
    const names = [...tables.keys()].sort().filter((name) => after === undefined || name > String(after));
    const page = names.slice(0, limit);
    return { TableNames: page, ...(names.length > page.length && { LastEvaluatedTableName: page.at(-1) }) };
  },
  UpdateTable: (state, { TableName, StreamSpecification }) => {
    const table = state.table(TableName);
    specify(state, table, StreamSpecification);
    return { TableDescription: describe(table, "ACTIVE") };
  },
  UpdateTimeToLive: (state, { TableName, TimeToLiveSpecification }) => {
    const table = state.table(TableName);
    const { Enabled, AttributeName } = TimeToLiveSpecification as { Enabled: boolean; AttributeName: string };
    table.ttl = Enabled ? AttributeName : undefined;
    return { TimeToLiveSpecification };
  },
  DescribeTimeToLive: (state, { TableName }) => {
    const { ttl } = state.table(TableName);
    const off = { TimeToLiveStatus: "DISABLED" };
    return { TimeToLiveDescription: ttl === undefined ? off : { TimeToLiveStatus: "ENABLED", AttributeName: ttl } };
  },
  TagResource: (state, { ResourceArn, Tags }) => {
    tag(tableByArn(state, ResourceArn), Tags);
    return {};
  },
  UntagResource: (state, { ResourceArn, TagKeys }) => {
    const { tags } = tableByArn(state, ResourceArn);
    for (const key of TagKeys as readonly string[]) tags.delete(key);
    return {};
  },
  ListTagsOfResource: (state, { ResourceArn }) => {
    const { tags } = tableByArn(state, ResourceArn);
    return { Tags: [...tags].map(([Key, Value]) => ({ Key, Value })) };
  },
};

function specify(state: DynamoState, table: Table, given: unknown): void {
  if (given === undefined) return;
  const { StreamEnabled, StreamViewType: view } = given as StreamSpecification;
  if (StreamEnabled !== true) {
    state.disable(table);
    return;
  }
  if (view === undefined || !VIEWS.has(view)) throw invalid("StreamViewType is required when StreamEnabled is true");
  state.enable(table, view);
}

function tag(table: Table, tags: unknown): void {
  for (const { Key, Value } of (tags ?? []) as readonly Tag[]) table.tags.set(Key, Value);
}

function tableByArn(state: DynamoState, arn: unknown): Table {
  return [...state.tables.values()].find((one) => one.arn === arn) ?? state.table(arn);
}

function describe(table: Table, TableStatus: string): Output {
  const { name, arn, id, keySchema, definitions, createdAt, items, stream } = table;
  return {
    ...{ TableName: name, TableArn: arn, TableId: id, TableStatus, KeySchema: keySchema },
    ...{ AttributeDefinitions: definitions, CreationDateTime: createdAt / 1000, ItemCount: items.size },
    ...{ TableSizeBytes: 0, BillingModeSummary: { BillingMode: "PAY_PER_REQUEST" } },
    ...(stream !== undefined && !stream.gone && { LatestStreamArn: stream.arn, LatestStreamLabel: stream.label }),
    ...(stream?.disabled === false && {
      StreamSpecification: { StreamEnabled: true, StreamViewType: stream.view },
    }),
  };
}
