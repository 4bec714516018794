// What must hold before a source is read, judged by what was read of its tables: `check` shows it, and a start is refused by it.

import { ConfigError } from "../../../errors.ts";
import type { CarriedImages } from "../../capabilities.ts";
import type { Notice } from "../../source.ts";
import type { DynamoFacts, ReadTable } from "../facts/facts.ts";
import type { DynamoConfig } from "../options/config.ts";
import { isName } from "../options/table-pattern.ts";
import { type Home, renewStream } from "./aws-cli.ts";
import { type Outbox, outboxRefusal } from "./outbox.ts";

/** Something that does not hold: a first start is refused with its error. */
export interface Problem {
  readonly subject: string;
  readonly error: ConfigError;
}

/** What does not hold; empty when a source can be read. Tables that only a pattern names are left out instead. */
export function problemsOf(facts: DynamoFacts, config: DynamoConfig): readonly Problem[] {
  const { tables, missing } = facts;
  const outbox = config.outbox?.table;
  const named = new Set([...config.tables.filter(isName), outbox]);
  const refusal = outboxRefusal(config, facts);
  return [
    ...(refusal === undefined ? [] : [{ subject: `table ${outbox}`, error: refusal }]),
    ...missing
      .filter((name) => name !== outbox)
      .map((name) => ({
        subject: `table ${name}`,
        error: new ConfigError("TABLE_NOT_FOUND", `there is no table ${name}`, {
          hint: "Correct the name, the region or the endpoint. A pattern with * needs no table yet.",
        }),
      })),
    ...withoutStream(tables)
      .filter(({ table }) => named.has(table))
      .map(({ table }) => ({
        subject: `table ${table}`,
        error: new ConfigError("STREAM_DISABLED", `the table ${table} has no stream`, { hint: enableStream(table) }),
      })),
  ];
}

/** Tables that a source goes on without, the outbox among them where it was read before. */
export function noticesOf(facts: DynamoFacts, config: Outbox): readonly (Notice & { readonly table: string })[] {
  const refusal = outboxRefusal(config, facts);
  const outbox = config.outbox?.table;
  return [
    ...withoutStream(facts.tables).map(({ table }) => ({
      table,
      code: "STREAM_DISABLED",
      message: `the table ${table} has no stream, and is left out`,
      hint: enableStream(table),
    })),
    ...(refusal === undefined || outbox === undefined
      ? []
      : [{ table: outbox, code: refusal.code, message: refusal.message, hint: refusal.hint }]),
  ];
}

/** Tables whose events lack images. */
export function lackingImages({ tables }: DynamoFacts): readonly { readonly table: string; readonly view: string }[] {
  return tables.flatMap(({ table, page, enabled }) => {
    const view = page?.view;
    return !enabled || view === undefined || view === "NEW_AND_OLD_IMAGES" ? [] : [{ table, view }];
  });
}

/** What a table's changes carry; undefined where it has no stream. */
export function carriedImages(table: ReadTable | undefined, home: Home): CarriedImages | undefined {
  const view = table?.page?.view;
  if (table === undefined || view === undefined) return undefined;
  const images = [
    ...(view.includes("OLD") ? (["before"] as const) : []),
    ...(view.startsWith("NEW") ? (["after"] as const) : []),
  ];
  return { images, why: `its stream is ${view}`, fix: `${renewStream(home, table.table)}.` };
}

function withoutStream(tables: readonly ReadTable[]): readonly ReadTable[] {
  return tables.filter(({ enabled, page }) => !enabled && page === undefined);
}

/** What switches a table's stream on. */
export function enableStream(table: string): string {
  return `aws dynamodb update-table --table-name ${table} --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES`;
}
