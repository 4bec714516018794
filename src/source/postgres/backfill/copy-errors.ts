// What the server says of a table that is copied, by the table's name and with what to do about that table.

import { ConfigError, type MillraceError, TransientError, toError } from "../../../errors.ts";
import { formatCollectionName } from "../../../event/collection-name.ts";
import type { CopyTarget } from "../../capabilities.ts";
import { sqlState, translateError } from "../client/errors.ts";
import { grantSelect, quoteIdentifier, quoteTable } from "../client/sql.ts";

/** @param role that the copy reads as */
export function copyError(thrown: unknown, target: CopyTarget, role: string): MillraceError {
  const { namespace, collection } = target;
  const table = quoteTable({ schema: namespace, name: collection });
  const cause = toError(thrown);
  switch (sqlState(thrown)) {
    case "42501": {
      const grants = grantSelect({ schema: namespace, name: collection }, quoteIdentifier(role)).join(" ");
      return new ConfigError("PERMISSION_MISSING", `${table} cannot be copied: ${cause.message}`, {
        hint: `Let its owner run: ${grants} Where another schema is named, that of a type of its key, USAGE on it too (\`millrace check\` prints it). Or go on without it: millrace backfill resume <source> --without ${formatCollectionName(target)}`,
        cause,
      });
    }
    case "55P03":
      return new TransientError("SOURCE_LOCKED", `another session holds a lock on ${table}`, {
        hint: `The copy goes on by itself when it is given back, or without it: millrace backfill resume <source> --without ${formatCollectionName(target)} Who holds it: ${HOLDERS}`,
        cause,
      });
    case "57014":
      return new TransientError("BACKFILL_STATEMENT_ENDED", `a page of ${table} was not read: ${cause.message}`, {
        hint: "It is tried again by itself. Where a statement takes longer than a minute each time: see that the server is not short of I/O, and that an index on the key is valid and used.",
        cause,
      });
    default:
      return translateError(thrown);
  }
}

const HOLDERS =
  "SELECT l.relation::regclass, a.pid, a.state, a.xact_start, a.query FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid AND a.datname = current_database() WHERE l.granted AND l.mode = 'AccessExclusiveLock' AND l.relation >= 16384;";
