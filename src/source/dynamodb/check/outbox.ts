// What must hold of the outbox, and what is said of it by `millrace check` and `millrace sql outbox`.

import { ConfigError } from "../../../errors.ts";
import { about, type Finding } from "../../../telemetry/finding.ts";
import type { DynamoFacts, ReadTable } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";

type Outbox = Pick<DynamoConfig, "outbox" | "region" | "endpoint" | "profile">;

/** The attribute that emit() writes for it. */
const EXPIRES_AT = "expires_at";
const VIEW = "NEW_AND_OLD_IMAGES";

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
      hint: `A stream keeps its view type. Let what is in it be read, and switch it off and on again, which is a new stream behind a gap: ${setStream(config, table, "StreamEnabled=false")}, then ${setStream(config, table, `StreamEnabled=true,StreamViewType=${VIEW}`)}`,
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

function setStream(config: Outbox, table: string, specification: string): string {
  return `aws dynamodb update-table --table-name ${table} --stream-specification ${specification}${flags(config)}`;
}

/** Where it is, as the command takes it. */
function flags({ region, endpoint, profile }: Outbox): string {
  const said = { region, profile, "endpoint-url": endpoint };
  return Object.entries(said)
    .map(([flag, value]) => (value === undefined ? "" : ` --${flag} ${quoted(value)}`))
    .join("");
}

function quoted(text: string): string {
  return /^[A-Za-z0-9_./:-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
