// Operations on items, as the double answers them.

import { demand, type Placeholders, updated } from "./expressions.ts";
import { DynamoFault, invalid, notModelled } from "./fault.ts";
import type { DynamoState } from "./state.ts";
import { type Input, limitOf, type Operation, type Output } from "./stream-operations.ts";
import { KEY_SPACE, placeOfKey } from "./streams.ts";
import type { ItemKey, Table } from "./tables.ts";
import { type Item, sizeOfItem, storedItem } from "./values.ts";

const MAX_ITEM_BYTES = 400 * 1024;
const PAGE_BYTES = 1024 * 1024;
const MAX_BATCH = 25;
const MAX_TRANSACTION = 100;

/** A write that was judged and is not done yet. */
interface Write {
  readonly table: Table;
  readonly key: ItemKey;
  readonly after: Item | undefined;
}

export const itemOperations: Readonly<Record<string, Operation>> = {
  PutItem: (state, input) => answerOf(input, ...done(state, putOf(state, input))),
  UpdateItem: (state, input) => answerOf(input, ...done(state, updateOf(state, input))),
  DeleteItem: (state, input) => answerOf(input, ...done(state, deleteOf(state, input))),
  GetItem: (state, { TableName, Key }) => {
    const table = state.table(TableName);
    const item = table.items.get(table.onlyKeyOf(storedItem(Key)).text);
    return item === undefined ? {} : { Item: item };
  },
  Scan: (state, { TableName, Limit, Segment = 0, TotalSegments = 1, ExclusiveStartKey: after, ...rest }) => {
    if (rest.FilterExpression !== undefined) throw notModelled("a filter of Scan");
    const table = state.table(TableName);
    const limit = Limit === undefined ? Number.POSITIVE_INFINITY : limitOf(Limit, Number.MAX_SAFE_INTEGER);
    const share = KEY_SPACE / Number(TotalSegments);
    const orderOf = ({ partition, text }: ItemKey): string =>
      `${String(placeOfKey(partition)).padStart(10, "0")} ${text}`;
    const from = after === undefined ? "" : orderOf(table.onlyKeyOf(storedItem(after)));
    const there = [...table.items.values()]
      .map((item) => ({ item, key: table.keyOf(item) }))
      .filter(({ key }) => Math.floor(placeOfKey(key.partition) / share) === Number(Segment))
      .map(({ item, key }) => ({ item, keys: key.keys, order: orderOf(key) }))
      .filter(({ order }) => order > from)
      .sort((a, b) => (a.order < b.order ? -1 : 1));
    const page = there.slice(0, Math.min(limit, fitting(there.map(({ item }) => sizeOfItem(item)))));
    const bytes = page.reduce((sum, { item }) => sum + sizeOfItem(item), 0);
    return {
      ...(rest.ReturnConsumedCapacity === "TOTAL" && {
        ConsumedCapacity: { TableName, CapacityUnits: unitsOf(bytes, rest.ConsistentRead === true) },
      }),
      ...{ Items: page.map(({ item }) => item), Count: page.length, ScannedCount: page.length },
      ...(page.length < there.length && { LastEvaluatedKey: page.at(-1)?.keys }),
    };
  },
  BatchWriteItem: (state, { RequestItems }) => {
    const requests = Object.entries(RequestItems as Record<string, readonly Record<string, Input>[]>).flatMap(
      ([TableName, of]) =>
        of.map(({ PutRequest, DeleteRequest }) =>
          PutRequest !== undefined
            ? putOf(state, { ...PutRequest, TableName })
            : deleteOf(state, { ...DeleteRequest, TableName }),
        ),
    );
    if (requests.length === 0 || requests.length > MAX_BATCH)
      throw invalid("Too many items requested for the BatchWriteItem call");
    refuseTwice(requests, "Provided list of item keys contains duplicates");
    for (const write of requests) done(state, write);
    return { UnprocessedItems: {} };
  },
  TransactWriteItems: (state, { TransactItems }) => {
    const actions = TransactItems as readonly Readonly<Record<string, Input>>[];
    if (actions.length === 0 || actions.length > MAX_TRANSACTION)
      throw invalid("Member must have length less than or equal to 100");
    const reasons: Output[] = [];
    const writes: Write[] = [];
    for (const action of actions) {
      try {
        writes.push(...judged(state, action));
        reasons.push({ Code: "None" });
      } catch (error) {
        if (!(error instanceof DynamoFault) || error.type !== "ConditionalCheckFailedException") throw error;
        reasons.push({ Code: "ConditionalCheckFailed", Message: error.message });
      }
    }
    refuseTwice(writes, "Transaction request cannot include multiple operations on one item");
    if (reasons.some(({ Code }) => Code !== "None")) {
      const codes = reasons.map(({ Code }) => Code).join(", ");
      const message = `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes}]`;
      throw new DynamoFault("TransactionCanceledException", message, 400, { CancellationReasons: reasons });
    }
    for (const write of writes) done(state, write);
    return {};
  },
};

function judged(
  state: DynamoState,
  { Put, Update, Delete, ConditionCheck }: Readonly<Record<string, Input>>,
): readonly Write[] {
  if (Put !== undefined) return [putOf(state, Put)];
  if (Update !== undefined) return [updateOf(state, Update)];
  if (Delete !== undefined) return [deleteOf(state, Delete)];
  if (ConditionCheck === undefined) throw invalid("TransactItems can only contain one of Check, Put, Update or Delete");
  deleteOf(state, ConditionCheck);
  return [];
}

function putOf(state: DynamoState, input: Input): Write {
  const table = state.table(input.TableName);
  const after = storedItem(input.Item);
  const key = table.keyOf(after);
  if (sizeOfItem(after) > MAX_ITEM_BYTES) throw invalid("Item size has exceeded the maximum allowed size");
  demand(table.items.get(key.text), input.ConditionExpression, input as Placeholders);
  return { table, key, after };
}

function updateOf(state: DynamoState, input: Input): Write {
  const table = state.table(input.TableName);
  const key = table.onlyKeyOf(storedItem(input.Key));
  const before = table.items.get(key.text);
  demand(before, input.ConditionExpression, input as Placeholders);
  const after = updated(before ?? key.keys, String(input.UpdateExpression ?? ""), input as Placeholders);
  if (table.keyOf(after).text !== key.text) throw invalid("Cannot update attribute. This attribute is part of the key");
  if (sizeOfItem(after) > MAX_ITEM_BYTES) throw invalid("Item size to update has exceeded the maximum allowed size");
  return { table, key, after };
}

function deleteOf(state: DynamoState, input: Input): Write {
  const table = state.table(input.TableName);
  const key = table.onlyKeyOf(storedItem(input.Key));
  demand(table.items.get(key.text), input.ConditionExpression, input as Placeholders);
  return { table, key, after: undefined };
}

function done(state: DynamoState, { table, key, after }: Write): [before: Item | undefined, after: Item | undefined] {
  return [state.change(table, key, after), after];
}

/** Read capacity units: one for each four kilobytes, half of that where it need not be consistent. */
function unitsOf(bytes: number, isConsistent: boolean): number {
  return Math.max(1, Math.ceil(bytes / 4096)) * (isConsistent ? 1 : 0.5);
}

/** How many of them, each of so many bytes, are a page: at least one. */
function fitting(sizes: readonly number[]): number {
  let left = PAGE_BYTES;
  const end = sizes.findIndex((size, nth) => {
    left -= size;
    return left < 0 && nth > 0;
  });
  return end < 0 ? sizes.length : end;
}

function answerOf({ ReturnValues: wanted }: Input, before: Item | undefined, after: Item | undefined): Output {
  const item = wanted === "ALL_OLD" ? before : wanted === "ALL_NEW" ? after : undefined;
  return item === undefined ? {} : { Attributes: item };
}

function refuseTwice(writes: readonly Write[], message: string): void {
  const named = new Set(writes.map(({ table, key }) => `${table.name} ${key.text}`));
  if (named.size < writes.length) throw invalid(message);
}
