// What must hold of the outbox, and what is said of it by `millrace check` and `millrace sql outbox`.

import { ConfigError } from "../../../errors.ts";
import { about, type Finding } from "../../../telemetry/finding.ts";
import type { DynamoFacts, ReadTable } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";
import { flags, type Home, renewStream, VIEW } from "./aws-cli.ts";

export type Outbox = Home & Pick<DynamoConfig, "outbox">;

/** The attribute that emit() writes for it. */
const EXPIRES_AT = "expires_at";

/** Why a source cannot have its outbox; undefined where nothing speaks against it. That it has no stream is not asked here. */
export function outboxRefusal(config: Outbox, { tables, missing }: DynamoFacts): ConfigError | undefined {
  if (config.outbox === undefined) return undefined;
  const { table } = config.outbox;
  if (missing.includes(table)) {
    return new ConfigError("OUTBOX_NOT_FOUND", `there is no table ${table} for the outbox`, {
      hint: `Correct outbox.table, the region or the endpoint, or make it first: ${createOutbox(config, table)}`,
    });
  }
  const view = tables.find((one) => one.table === table)?.page?.view;
  if (view === undefined || view === VIEW) return undefined;
  return new ConfigError(
    "OUTBOX_IMAGES",
    `the stream of the outbox ${table} is ${view}: it does not carry what is written`,
    {
      hint: renewStream(config, table),
    },
  );
}

/** @param expiry the attribute by which its items expire; "unknown" where it could not be asked */
export function outboxFindings(
  config: Outbox,
  { table, keys }: Pick<ReadTable, "table" | "keys">,
  expiry: string | undefined | "unknown",
): readonly Finding[] {
  const { ok, warn } = about(`outbox ${table}`);
  const findings: Finding[] = [];
  if (!keepsOrder(keys.map(({ name }) => name))) {
    findings.push(
      warn(
        "OUTBOX_ORDER",
        "its key is not aggregateid and aggregatetype: events of one aggregate are several items, and DynamoDB promises the order of each item alone",
        `A table keeps its key: make another one, and let outbox.table name it: ${createOutbox(config, "NAME")}`,
      ),
    );
  }
  if (expiry === undefined || (expiry !== "unknown" && expiry !== EXPIRES_AT)) {
    const message =
      expiry === undefined
        ? "nothing takes its items away: they are in the stream, and stay in the table for ever"
        : `its items expire by ${expiry}, and emit() writes ${EXPIRES_AT}: what it writes stays in the table for ever`;
    findings.push(warn("OUTBOX_GROWS", message, expireOutbox(config, table)));
  }
  return findings.length > 0 ? findings : [ok("OUTBOX", "what is written becomes domain events")];
}

/** Whether each aggregate is one item. */
function keepsOrder([hash, range]: readonly string[]): boolean {
  return hash === "aggregateid" && (range === undefined || range === "aggregatetype");
}

/** What makes the outbox, and lets its items expire: commands of the AWS CLI. */
export function outboxText(config: Outbox): readonly string[] {
  if (config.outbox === undefined) return ['# the source has no outbox: set its option outbox: { table: "outbox" }'];
  const { table } = config.outbox;
  return [
    createOutbox(config, table),
    `aws dynamodb wait table-exists --table-name ${table}${flags(config)}`,
    `${expireOutbox(config, table)} # emit() writes it: a week ahead; events are in the stream long before`,
    "# whoever emits needs dynamodb:PutItem on it",
  ];
}

function createOutbox(config: Outbox, table: string): string {
  const attributes = ["aggregateid", "aggregatetype"];
  return `aws dynamodb create-table --table-name ${table} --billing-mode PAY_PER_REQUEST --attribute-definitions ${attributes
    .map((name) => `AttributeName=${name},AttributeType=S`)
    .join(
      " ",
    )} --key-schema AttributeName=aggregateid,KeyType=HASH AttributeName=aggregatetype,KeyType=RANGE --stream-specification StreamEnabled=true,StreamViewType=${VIEW}${flags(config)}`;
}

function expireOutbox(config: Outbox, table: string): string {
  return `aws dynamodb update-time-to-live --table-name ${table} --time-to-live-specification Enabled=true,AttributeName=${EXPIRES_AT}${flags(config)}`;
}
