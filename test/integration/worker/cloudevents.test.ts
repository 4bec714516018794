// An event as a subscriber reads it with the plain NATS client, given to the package `cloudevents`.

import { CloudEvent, HTTP } from "cloudevents";
import { describe, expect, test } from "vitest";
import { startWorker } from "../../../src/index.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { freshDatabase, freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

const names = ["specversion", "id", "source", "type", "subject", "time"].map((name) => `ce-${name}`);

describe.skipIf(missing("postgres", "nats"))("the package cloudevents", () => {
  test("accepts an event whose key, table and schema are not ASCII", async () => {
    await using nats = await freshNats();
    await using database = await freshDatabase();
    await database.query('create schema "läden"; create table "läden"."Aufträge"(id text primary key, at timestamptz)');
    const key = 'Müller "50 %" ☃ 𝄞\n';
    const worker = await startWorker({
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: database.url, tables: ["läden.*"] } },
    });
    const events = async () =>
      (await readStream(nats.url, "CDC_SHOP")).filter(({ subject }) => subject.startsWith("cdc."));
    await waitFor(async () => (await readStream(nats.url, "CDC_SHOP")).length > 1, { what: "the first start" });
    await database.query('insert into "läden"."Aufträge" values ($1, $2)', [key, "2026-01-02T03:04:05.678901Z"]);
    const event = await waitFor(async () => (await events())[0], { what: "the event" });
    await worker.stop();

    const headers = Object.fromEntries(
      [...names, "content-type"].map((name) => [name, event.header(name) ?? ""] as const),
    );
    const parsed = HTTP.toEvent({ headers, body: event.text });
    if (!(parsed instanceof CloudEvent)) throw new Error("no event");
    expect(parsed.validate()).toBe(true);
    expect(parsed).toMatchObject({
      specversion: "1.0",
      source: "/shop",
      datacontenttype: "application/json",
      data: { op: "created", key: { id: key }, after: { id: key, at: "2026-01-02T03:04:05.678901Z" } },
    });
    expect(decodeURIComponent(parsed.type)).toBe("shop.läden.Aufträge.created");
    expect(decodeURIComponent(parsed.subject ?? "")).toBe(`läden.Aufträge/${key}`);
    expect(Math.abs(Date.parse(parsed.time ?? "") - Date.now())).toBeLessThan(3_600_000);
  });
});
