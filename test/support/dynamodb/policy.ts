// A double that holds whoever asks it to a policy, as IAM does: what no statement allows is refused.

import type { DynamoDouble } from "../../../src/dev/dynamodb/dynamo-double.ts";
import { DynamoFault } from "../../../src/dev/dynamodb/fault.ts";

export interface Policy {
  readonly Statement: readonly {
    readonly Effect: "Allow";
    readonly Action: string | readonly string[];
    readonly Resource: string | readonly string[];
  }[];
}

/** From now on. @param used gets the actions that were allowed, with their resources */
export function enforce(double: DynamoDouble, policy: Policy, used = new Set<string>()): void {
  const ask = double.ask.bind(double);
  /** Of iterators, whose they are. */
  const streams = new Map<string, string>();
  double.ask = async (service, operation, input) => {
    const named = input as Readonly<Record<string, string | undefined>>;
    const { region, account } = double.state.settings;
    const table = named.TableName && `arn:aws:dynamodb:${region}:${account}:table/${named.TableName}`;
    const stream = named.StreamArn ?? streams.get(named.ShardIterator ?? "");
    const resource = stream ?? table ?? "*";
    const action = `dynamodb:${operation}`;
    if (!allows(policy, action, resource)) {
      const who = `arn:aws:iam::${account}:user/millrace`;
      throw new DynamoFault(
        "AccessDeniedException",
        `User: ${who} is not authorized to perform: ${action} on resource: ${resource}`,
      );
    }
    used.add(`${action} ${resource}`);
    const answer = (await ask(service, operation, input)) as Record<string, string | undefined>;
    for (const iterator of [answer.ShardIterator, answer.NextShardIterator])
      if (iterator && stream) streams.set(iterator, stream);
    return answer;
  };
}

function allows({ Statement }: Policy, action: string, resource: string): boolean {
  return Statement.some(
    ({ Action, Resource }) =>
      [Action].flat().includes(action) && [Resource].flat().some((pattern) => matches(pattern as string, resource)),
  );
}

function matches(pattern: string, text: string): boolean {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`).test(text);
}
