// What `millrace check` finds wrong with a Postgres source, and running the SQL that it prints.

import { expect } from "vitest";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { CheckContext } from "../../../src/source/connector.ts";
import { checkPostgres } from "../../../src/source/postgres/check/check.ts";
import { type PostgresConfig, parsePostgresConfig } from "../../../src/source/postgres/options/config.ts";
import { type Finding, isStatement, sqlOf } from "../../../src/telemetry/finding.ts";
import type { Database } from "../servers.ts";

const SHOP = "shop" as SourceId;

interface Context extends Partial<Pick<CheckContext<PostgresConfig>, "saved" | "copied">> {
  /** Ids of the other configured sources. */
  readonly others?: readonly string[];
  readonly ages?: Parameters<typeof checkPostgres>[3];
}

/** No transaction and no idle slot is too young to be told of. */
export const ANY_AGE = { transactionSeconds: 0, idleSlotSeconds: 0 };

/** @param context what the source has on record as `saved`; by default the bus is not asked */
export async function findingsOf(
  url: string,
  options: Record<string, unknown> = {},
  { others = [], ages, ...context }: Context = {},
): Promise<readonly Finding[]> {
  const config = parsePostgresConfig({ url, ...options }, "sources.shop");
  const findings: Finding[] = [];
  const checked = checkPostgres(
    SHOP,
    config,
    {
      saved: "saved" in context ? context.saved : "unknown",
      copied: context.copied,
      others: new Map(others.map((other) => [other as SourceId, config])),
      signal: new AbortController().signal,
    },
    ages,
  );
  for await (const finding of checked) findings.push(finding);
  return findings;
}

/** Those of one code that do not hold. */
export async function wrong(
  url: string,
  code: string,
  options?: Record<string, unknown>,
  context?: Context,
): Promise<readonly Finding[]> {
  const found = await findingsOf(url, options, context);
  return found.filter((finding) => finding.code === code && finding.level !== "ok");
}

/** The printed SQL, line by line, as an administrator runs it. */
export async function runFix(database: Database, fix: string | undefined): Promise<void> {
  for (const line of (fix ?? "").split("\n")) {
    if (line.includes("; -- if "))
      expect(isStatement(line)).toBe(true); // a person decides
    else expect(sqlOf(line)).toEqual([line]);
    await database.query(line);
  }
}
