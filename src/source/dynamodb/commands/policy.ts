// The policy of IAM that a source's worker needs: no more than it asks, on no more than its tables.

import { isExclusion, isName } from "../options/table-pattern.ts";

/** Where the tables are; undefined what is not known. */
export interface Home {
  readonly partition: string | undefined;
  readonly region: string | undefined;
  readonly account: string | undefined;
}

export interface PolicyOptions {
  /** Patterns, and the name of the outbox's table. */
  readonly tables: readonly string[];
  /** Whether it looks at their tags. */
  readonly tags: boolean;
  readonly home: Home;
}

const STREAM_ACTIONS = ["dynamodb:DescribeStream", "dynamodb:GetShardIterator", "dynamodb:GetRecords"];
/** What stands for what is not known. */
const REGION = "REGION";
const ACCOUNT = "ACCOUNT_ID";

/** As a person reads it, line by line: JSON, and nothing else. */
export function policyLines({ tables, tags, home }: PolicyOptions): readonly string[] {
  const included = includedIn(tables);
  const arns = arnsOf(home, included);
  const statement = (Sid: string, Action: string | readonly string[], Resource: string | readonly string[]) => ({
    ...{ Sid, Effect: "Allow", Action, Resource },
  });
  const policy = {
    Version: "2012-10-17",
    Statement: [
      statement(
        "Tables",
        tags ? ["dynamodb:DescribeTable", "dynamodb:ListTagsOfResource"] : "dynamodb:DescribeTable",
        arns,
      ),
      statement(
        "Streams",
        STREAM_ACTIONS,
        arns.map((arn) => `${arn}/stream/*`),
      ),
      // These take no resource.
      statement("Between", "dynamodb:ListStreams", "*"),
      ...(included.every(isName) ? [] : [statement("Patterns", "dynamodb:ListTables", "*")]),
    ],
  };
  return JSON.stringify(policy, null, 2).split("\n");
}

/** What a reader must know of it: what is not known, what IAM cannot say, and what it does not allow. */
export function policyNotes({ tables, home }: PolicyOptions): readonly string[] {
  const unknown = [
    ...(home.region === undefined ? [`${REGION} for the tables' region`] : []),
    ...(home.account === undefined ? [`${ACCOUNT} for the account's number of twelve digits`] : []),
    ...(partitionOf(home) === undefined
      ? ["aws for the partition, which in China is aws-cn, in GovCloud aws-us-gov"]
      : []),
  ];
  const excluded = tables.filter(isExclusion);
  return [
    ...(unknown.length > 0 ? [`not known here, and to be replaced: ${unknown.join("; ")}`] : []),
    ...(excluded.length > 0
      ? [`the worker leaves out ${excluded.join(", ")}; this policy does not forbid it to read them`]
      : []),
    `it lets nobody read items at rest; for a backfill add the statement ${JSON.stringify(scanning(tables, home))}`,
  ];
}

/** What a copy of items that are there needs beside. */
function scanning(tables: readonly string[], home: Home): object {
  return { Sid: "Backfill", Effect: "Allow", Action: "dynamodb:Scan", Resource: arnsOf(home, includedIn(tables)) };
}

function includedIn(tables: readonly string[]): readonly string[] {
  return [...new Set(tables.filter((pattern) => !isExclusion(pattern)))];
}

function arnsOf(home: Home, tables: readonly string[]): readonly string[] {
  return tables.map((name) => `${arnOf(home)}:table/${name}`);
}

/** Of a table's ARN. */
export function homeOfArn(arn: string): Home {
  const [, partition, , region, account] = arn.split(":");
  const known = (text: string | undefined): string | undefined => text || undefined;
  return { partition: known(partition), region: known(region), account: known(account) };
}

function arnOf(home: Home): string {
  return `arn:${partitionOf(home) ?? "aws"}:dynamodb:${home.region ?? REGION}:${home.account ?? ACCOUNT}`;
}

/** A region's name tells it. */
function partitionOf({ partition, region }: Home): string | undefined {
  if (partition !== undefined || region === undefined) return partition;
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}
