// What a role that can only connect may forge by logical messages, and how it is kept from it.

import { Client, Pool } from "pg";
import { describe, expect, inject, test } from "vitest";
import { startWorker } from "../../../../src/app.ts";
import { automation } from "../../../../src/automation/define/automation.ts";
import { collection } from "../../../../src/automation/define/collection.ts";
import { event } from "../../../../src/automation/define/event-trigger.ts";
import type { ConfigError } from "../../../../src/errors.ts";
import { migrationSql } from "../../../../src/outbox/migration-sql.ts";
import { grantMessages, messageRightsSql, revokeMessages } from "../../../../src/source/postgres/check/outbox-sql.ts";
import { readStream } from "../../../support/bus/stream-events.ts";
import type { OlderPostgres } from "../../../support/postgres/older-postgres.ts";
import { freshDatabase, freshNats, freshPostgres, missing } from "../../../support/servers.ts";
import { waitFor } from "../../../support/wait-for.ts";

const versions: readonly (readonly [string, OlderPostgres | undefined])[] = [
  ["18", undefined],
  ["14", "postgres14"],
];
const lineage = JSON.stringify({
  correlationId: "a",
  causationId: "b",
  hops: 8,
  automation: "c",
  trail: [],
  proof: "d",
});
const forged = JSON.stringify({
  id: "00000000-0000-4000-8000-000000000000",
  aggregatetype: "order",
  aggregateid: "1",
  type: "paid",
  payload: 1,
  headers: { tenant: "another" },
});

describe.skipIf(missing("postgres", "nats"))("a role that can only connect, on Postgres", () => {
  test.each(versions)(
    "%s, forges no event, stops no automation, and may be kept from messages",
    async (_, older) => {
      const server = older === undefined ? undefined : await freshPostgres({}, inject("olderPostgres")[older]);
      await using database = await freshDatabase(server);
      const nats = await freshNats();
      await database.query(`${migrationSql("outbox")}; ${migrationSql("inbox")}; create table item(id int primary key);
      create role guest login; grant usage on schema public to guest; grant insert on item to guest; create role worker login;
      grant usage on schema millrace to worker; grant select, insert, delete on millrace.inbox, millrace.outbox to worker`);
      const as = (role: string): string => database.url.replace("postgres@", `${role}@`);
      const guest = new Client({ connectionString: as("guest") });
      await guest.connect();
      const pool = new Pool({ connectionString: as("worker") });
      pool.on("error", () => {});
      const items = collection<{ id: number }>("shop", "public.item");
      const handled: number[] = [];
      const heard: string[] = [];
      const automations = [
        automation("audits", { on: items.created(), db: pool }, async ({ event: { after }, tx }) => {
          await tx(({ emit }) => emit("item.audited", { key: after.id, data: null }));
          handled.push(after.id);
        }),
        automation("hears", { on: event("item.audited") }, ({ event: { key, lineage: cause } }) => {
          heard.push(`${key} ${cause?.hops} ${cause?.automation}`);
        }),
      ];
      const config = {
        bus: { servers: nats.url, fsync: "always" },
        sources: { shop: { kind: "postgres", url: database.url, tables: ["public.*"], outbox: true } },
        automations,
      };
      const say = "select pg_logical_emit_message(true, $1, $2)";
      const worker = await startWorker(config);
      try {
        const all = () => [...worker.status().sources, ...worker.status().automations];
        await waitFor(() => all().every(({ state }) => state === "running"), { what: "the worker" });
        await guest.query("begin");
        await guest.query(say, ["millrace.lineage", lineage]);
        await guest.query(say, ["millrace.outbox", forged]);
        await guest.query("insert into item values (1)");
        await guest.query("commit");
        await waitFor(() => heard.length === 1, { what: "the event that the automation caused" });

        expect([handled, heard]).toEqual([[1], ["1 1 audits"]]);
        const subjects = (await readStream(nats.url, "CDC_SHOP")).map(({ subject }) => subject);
        expect(subjects.filter((subject) => subject.includes(".paid."))).toEqual([]);
        expect(worker.status().automations.map(({ dead }) => dead)).toEqual([0, 0]);
      } finally {
        await worker.stop();
      }

      const [row] = await database.query<{ version: number }>(
        "select current_setting('server_version_num')::int as version",
      );
      const version = row?.version ?? 0;
      await database.query(`${grantMessages(version, "postgres")} ${revokeMessages(version)}`);
      await expect(guest.query(say, ["millrace.outbox", forged])).rejects.toMatchObject({ code: "42501" });
      const refused = (await startWorker(config).catch((error: unknown) => error)) as ConfigError;
      expect(refused).toMatchObject({ code: "TX_RIGHTS_MISSING" });
      await database.query(refused.hint ?? "");
      const again = await startWorker(config);
      await database.query("insert into item values (2)");
      try {
        await waitFor(() => heard.includes("2 1 audits"), { what: "the next one" });
      } finally {
        await again.stop();
      }

      if (older === undefined) {
        // What `sql role`, `outbox` and `inbox` print of it.
        const printed = messageRightsSql('"guest"').map((line) => line.replace(/^-- (GRANT|REVOKE)/, "$1"));
        await database.query(printed.join("\n"));
        await guest.query(say, ["any", "thing"]);
      }
      await guest.end();
      await pool.end();
      await database.query("drop owned by guest, worker; drop role guest, worker");
    },
    120_000,
  );
});
