// What `millrace check` finds wrong with a Postgres source, and running the SQL that it prints.

import { expect } from "vitest";
import type { SourceId } from "../../src/event/source-id.ts";
import { checkPostgres } from "../../src/source/postgres/check.ts";
import { parsePostgresConfig } from "../../src/source/postgres/config.ts";
import type { CheckContext } from "../../src/source/source.ts";
import type { Finding } from "../../src/telemetry/finding.ts";
import type { Database } from "./servers.ts";

const SHOP = "shop" as SourceId;

/** @param context what the source has on record as `saved`; by default the bus is not asked */
export async function findingsOf(
  url: string,
  options: Record<string, unknown> = {},
  { saved }: Pick<CheckContext, "saved"> = { saved: "unknown" },
): Promise<readonly Finding[]> {
  const config = parsePostgresConfig({ url, ...options }, "sources.shop");
  const findings: Finding[] = [];
  const context = { saved, signal: new AbortController().signal };
  for await (const finding of checkPostgres(SHOP, config, context)) findings.push(finding);
  return findings;
}

/** Those of one code that do not hold. */
export async function wrong(url: string, code: string, options?: Record<string, unknown>): Promise<readonly Finding[]> {
  return (await findingsOf(url, options)).filter((finding) => finding.code === code && finding.level !== "ok");
}

/** The printed SQL, line by line, as an administrator runs it. */
export async function runFix(database: Database, fix: string | undefined): Promise<void> {
  for (const line of (fix ?? "").split("\n")) {
    expect(line).toMatch(/;( --.*)?$/);
    await database.query(line);
  }
}
