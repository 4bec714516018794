// Whether a table can be copied: what the server says of it now.

import { ConfigError, TransientError } from "../../../errors.ts";
import { type Home, renewStream } from "../check/aws-cli.ts";
import { enableStream } from "../check/judge.ts";
import type { DynamoApi, TableFacts } from "../client/api.ts";
import { ifUnknown } from "../client/errors.ts";

/** A table that can. */
export interface FitTable extends TableFacts {
  readonly stream: NonNullable<TableFacts["stream"]>;
}

/** Of these nobody can read, whatever becomes of them by itself. */
const STUCK: ReadonlySet<string> = new Set(["INACCESSIBLE_ENCRYPTION_CREDENTIALS", "ARCHIVING", "ARCHIVED"]);
const SOON: ReadonlySet<string> = new Set(["CREATING", "DELETING"]);

/**
 * @returns undefined where there is no table of this name any more: nothing of it is left to be copied
 * @throws ConfigError BACKFILL_REFUSED, TransientError BACKFILL_TABLE_BUSY, and what the server throws
 */
export async function fitTable(api: DynamoApi, home: Home, table: string): Promise<FitTable | undefined> {
  const facts = await api.describeTable(table).catch(ifUnknown);
  if (facts === undefined) return undefined;
  const { stream, enabled, status = "ACTIVE" } = facts;
  if (SOON.has(status))
    throw new TransientError("BACKFILL_TABLE_BUSY", `the table ${table} is ${status}`, {
      hint: "Nothing to do: it is looked at again.",
    });
  if (STUCK.has(status))
    throw refused(
      table,
      `it is ${status}`,
      "Make it readable again, or go on without it: millrace backfill resume <source> --without <table>",
    );
  if (!enabled || stream === undefined)
    throw refused(table, "it has no stream that says what changes meanwhile", enableStream(table));
  const page = await api.describeStream(stream.arn, {}).catch(ifUnknown);
  if (page === undefined)
    throw new TransientError("BACKFILL_TABLE_BUSY", `the stream of the table ${table} is not there yet`, {
      hint: "Nothing to do: it is looked at again.",
    });
  const { view } = page;
  if (view?.startsWith("NEW") !== true)
    throw refused(
      table,
      `its stream is ${view}, so an item that changes meanwhile is in neither the copy nor an event`,
      renewStream(home, table),
    );
  return { ...facts, stream };
}

function refused(table: string, why: string, hint: string): ConfigError {
  return new ConfigError("BACKFILL_REFUSED", `${table} cannot be copied: ${why}`, { hint });
}
