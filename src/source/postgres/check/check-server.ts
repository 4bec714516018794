// What `check` says of the server and the role: version, log, settings that bound or end slots, rights.

import { about, type Finding } from "../../../telemetry/finding.ts";
import type { ServerIdentity } from "../client/session.ts";
import { quoteIdentifier } from "../client/sql.ts";
import { OLDEST, type ServerFacts } from "../facts/server.ts";
import { settingFix } from "./setting-fix.ts";

const RAISES_WAL_LEVEL = 190_000;
const SMALL_KEEP_MB = 1024;

/** @param slot the source's own, when there is one: then it needs no free one, and its reader no free walsender */
export function serverFindings(
  server: ServerFacts,
  slot: { readonly active: boolean } | undefined,
): readonly Finding[] {
  return [
    walLevelFinding(server),
    roleFinding(server),
    encodingFinding(server),
    slotsFinding(server, slot !== undefined),
    sendersFinding(server, slot?.active === true),
    keepFinding(server),
    idleFinding(server),
  ];
}

/** To be judged before anything else is asked: an older server does not know the columns. */
export function versionFinding({ version, versionText }: Pick<ServerIdentity, "version" | "versionText">): Finding {
  const finding = { code: "SERVER_TOO_OLD", subject: "server", message: `it is Postgres ${versionText}` };
  if (version >= OLDEST) return { ...finding, level: "ok" };
  const message = `${finding.message}, older than 14`;
  return { ...finding, level: "fail", message, fix: "Upgrade it: Millrace needs Postgres 14 or newer." };
}

function walLevelFinding({ version, walLevel, provider }: ServerFacts): Finding {
  const finding = { code: "WAL_LEVEL_NOT_LOGICAL", subject: "setting wal_level", message: `it is ${walLevel}` };
  if (walLevel === "logical") return { ...finding, level: "ok" };
  if (version >= RAISES_WAL_LEVEL && walLevel === "replica") {
    return { ...finding, level: "ok", message: "it is replica; the slot raises it by itself" };
  }
  return {
    ...finding,
    level: "fail",
    fix: settingFix(provider, { name: "wal_level", value: "logical", restart: true }),
  };
}

function roleFinding({ role, mayReplicate, provider }: ServerFacts): Finding {
  const { ok, fail } = about(`role ${role}`);
  if (mayReplicate) return ok("ROLE_NOT_REPLICATION", "it may replicate");
  const quoted = quoteIdentifier(role);
  const granted = `GRANT rds_replication TO ${quoted};`;
  const fix = provider === "rdsadmin" ? granted : `ALTER ROLE ${quoted} REPLICATION; -- RDS: ${granted.slice(0, -1)}`;
  return fail("ROLE_NOT_REPLICATION", "it may not replicate", fix);
}

function encodingFinding({ database, encoding }: ServerFacts): Finding {
  const finding = { code: "ENCODING_UNKNOWN", subject: `database ${database}`, message: `its encoding is ${encoding}` };
  if (encoding !== "SQL_ASCII") return { ...finding, level: "ok" };
  const fix = "Move it to a database with the encoding UTF8: its texts have no known encoding, and JSON needs one.";
  return { ...finding, level: "fail", fix };
}

function slotsFinding({ maxSlots, usedSlots, provider }: ServerFacts, exists: boolean): Finding {
  const message = `${usedSlots} of ${maxSlots} replication slots are taken`;
  const finding = { code: "SLOTS_EXHAUSTED", subject: "setting max_replication_slots", message };
  if (exists || usedSlots < maxSlots) return { ...finding, level: "ok" };
  return {
    ...finding,
    level: "fail",
    fix: settingFix(provider, {
      name: "max_replication_slots",
      value: usedSlots + 5,
      restart: true,
      note: "or drop one that nobody needs",
    }),
  };
}

function sendersFinding({ maxSenders, usedSenders, provider }: ServerFacts, reading: boolean): Finding {
  const message = `${usedSenders} of ${maxSenders} walsenders are busy`;
  const finding = { code: "WALSENDERS_EXHAUSTED", subject: "setting max_wal_senders", message };
  if (reading || usedSenders < maxSenders) return { ...finding, level: "ok" };
  return {
    ...finding,
    level: "fail",
    fix: settingFix(provider, { name: "max_wal_senders", value: usedSenders + 5, restart: true }),
  };
}

function keepFinding({ keepMb, maxWalMb, provider }: ServerFacts): Finding {
  const finding = { code: "SLOT_WAL_LIMIT", subject: "setting max_slot_wal_keep_size" };
  const set = (sizeMb: number, note: string): string =>
    settingFix(provider, { name: "max_slot_wal_keep_size", value: sizeMb, note: `MB: ${note}` });
  if (keepMb === -1) {
    return {
      ...finding,
      level: "warn",
      message: "it is -1: while the worker is away, or any slot is dead, log grows until the disk is full",
      fix: set(51_200, "or what the disk can spare"),
    };
  }
  const wantedMb = Math.max(SMALL_KEEP_MB, maxWalMb);
  if (keepMb >= wantedMb) return { ...finding, level: "ok", message: `slots may hold back ${keepMb} MB of log` };
  return {
    ...finding,
    level: "warn",
    message: `it is ${keepMb} MB: a worker that is away while more is written loses its slot, and with it events`,
    fix: set(Math.max(10_240, wantedMb), "enough for the longest time that the worker may be away"),
  };
}

function idleFinding({ idleSlotSeconds, provider }: ServerFacts): Finding {
  const finding = { code: "SLOT_IDLE_TIMEOUT", subject: "setting idle_replication_slot_timeout" };
  if (idleSlotSeconds === 0) return { ...finding, level: "ok", message: "slots are not given up for being idle" };
  return {
    ...finding,
    level: "warn",
    message: `a worker that is away for ${idleSlotSeconds} s loses its slot, however little was written`,
    fix: settingFix(provider, {
      name: "idle_replication_slot_timeout",
      value: 0,
      note: "max_slot_wal_keep_size bounds the log by its size",
    }),
  };
}
