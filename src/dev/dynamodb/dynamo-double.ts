// A double of DynamoDB and DynamoDB Streams: answers operations as the server does, in memory and by a clock that a test may hold. `life` makes
// its shards split and end, `troubles` makes it fail. `DynamoHttp` puts it behind a port for the real SDK.

import { type Clock, realClock } from "../../clock.ts";
import { DynamoFault } from "./fault.ts";
import { itemOperations } from "./item-operations.ts";
import { ShardLife } from "./life.ts";
import { Rates } from "./rates.ts";
import { type DynamoSettings, DynamoState } from "./state.ts";
import { type Input, type Output, streamOperations } from "./stream-operations.ts";
import { tableOperations } from "./table-operations.ts";
import { Troubles } from "./trouble.ts";

export interface DynamoDoubleOptions extends Partial<DynamoSettings> {
  readonly clock?: Clock;
  /** Between 0 and 1. */
  readonly random?: () => number;
}

const databaseOperations = { ...tableOperations, ...itemOperations };
/** By the name that a request calls the service by. */
const services = { DynamoDB_20120810: databaseOperations, DynamoDBStreams_20120810: streamOperations };
export type ServiceName = keyof typeof services;

export class DynamoDouble {
  readonly state: DynamoState;
  readonly life: ShardLife;
  readonly troubles: Troubles;
  /** How often each operation was asked for. */
  readonly asked = new Map<string, number>();
  readonly #rates: Rates;

  constructor({ clock = realClock, random = Math.random, ...settings }: DynamoDoubleOptions = {}) {
    this.state = new DynamoState(clock, settings);
    this.life = new ShardLife(this.state);
    this.troubles = new Troubles(clock, random);
    this.#rates = new Rates(this.state);
  }

  /** As a client would, whatever goes wrong. @throws DynamoFault, ConnectionReset, StrangeAnswer */
  async ask(service: string, operation: string, input: Input): Promise<Output> {
    this.asked.set(operation, (this.asked.get(operation) ?? 0) + 1);
    await this.troubles.meet(operation, JSON.stringify(input));
    this.#rates.take(operation, input);
    return this.answer(service, operation, input);
  }

  /** At once, and without any trouble: for who writes a test down. @throws DynamoFault */
  answer(service: string, operation: string, input: Input): Output {
    const known = services[service as ServiceName];
    const answer = known !== undefined && Object.hasOwn(known, operation) ? known[operation] : undefined;
    if (answer === undefined) throw new DynamoFault("UnknownOperationException", `${service}.${operation}`);
    return answer(this.state, input);
  }

  /** A table with the key `id`, a text, and its stream. */
  createTable(name: string, { stream = true }: { readonly stream?: boolean } = {}): void {
    this.answer("DynamoDB_20120810", "CreateTable", {
      TableName: name,
      KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
      StreamSpecification: stream
        ? { StreamEnabled: true, StreamViewType: "NEW_AND_OLD_IMAGES" }
        : { StreamEnabled: false },
    });
  }

  put(table: string, item: Input): void {
    this.answer("DynamoDB_20120810", "PutItem", { TableName: table, Item: item });
  }
}
