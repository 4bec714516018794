// Logical messages of a database that is not kept in UTF-8: they come as they are kept.

import { expect, test } from "vitest";
import { openShop, Reading } from "../support/postgres-reader.ts";
import { freshDatabase, missing } from "../support/servers.ts";

test.skipIf(missing("postgres")).each([
  ["LATIN1", "chr(233)", { content: "\u00e9" }],
  ["LATIN1", "chr(195) || chr(169)", { content: "\u00c3\u00a9" }],
  ["LATIN1", "'\\x00ff'::bytea", { contentBase64: "AP8=" }],
  ["WIN1252", "'plain'", { content: "plain" }],
  ["WIN1252", "'\\xc3a9'::bytea", { contentBase64: "w6k=" }],
])("a message of a %s database, %s, is its text or plainly its bytes", async (encoding, sql, content) => {
  await using host = await freshDatabase();
  const name = `encoded_${encoding.toLowerCase()}_${Buffer.from(sql).toString("hex").slice(0, 20)}`;
  await host.query(`create database ${name} encoding '${encoding}' lc_collate 'C' lc_ctype 'C' template template0`);
  const url = host.url.replace(/[^/]+$/, name);
  const source = await openShop(url, {
    options: { tables: ["!public.*"], messages: ["m"], slot: name, publication: name },
  });
  const reading = new Reading(source);
  await reading.until(() => reading.events.length > 0, "the first marker");
  const { Client } = await import("pg");
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`select pg_logical_emit_message(true, 'm', ${sql})`);
  await client.end();
  await reading.until(() => reading.events.some(({ subject }) => subject === "meta.shop.message.m"), "the message");

  const [message] = reading.events.filter(({ subject }) => subject === "meta.shop.message.m");
  expect(JSON.parse(Buffer.from(message?.data ?? "").toString())).toEqual({
    prefix: "m",
    transactional: true,
    ...content,
  });
  await reading.stop();
  await source[Symbol.asyncDispose]();
  await host.query(`select pg_drop_replication_slot('${name}')`);
  await host.query(`drop database ${name} with (force)`);
});
