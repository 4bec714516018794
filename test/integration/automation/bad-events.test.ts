// Messages in a source's stream that are no event of ours: each has an outcome, and the next one is handled.

import { describe, expect, test } from "vitest";
import { onOrder, startWorker } from "../../support/automations.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ShopStream } from "../../support/shop-stream.ts";
import { waitFor } from "../../support/wait-for.ts";

const body = { op: "created", key: { id: 1 }, before: null, after: { id: 1, status: "odd" } };
const lines: Readonly<Record<string, string>> = {
  ...{ "ce-specversion": "1.0", "ce-source": "/shop", "ce-type": "shop.public.orders.created", "ce-id": "shop.0001.1" },
  ...{ "ce-time": "2026-01-01T00:00:00.000000Z", "ce-subject": "public.orders/1", "Cdc-Pos": "0001.1+" },
  ...{ "Cdc-Tx": "1", "Cdc-Tx-Last": "1", "content-type": "application/json" },
};
const SUBJECT = "cdc.shop.public.orders.created.p03";

interface Odd {
  readonly data?: string | Uint8Array;
  /** Undefined: without it. */
  readonly header?: Readonly<Record<string, string | undefined>>;
  readonly more?: string;
  readonly subject?: string;
}

/** Whether the handler has it, or it is a dead letter. */
const odd: readonly (readonly [string, Odd, "handled" | "undecodable"])[] = [
  ["no body", { data: "" }, "undecodable"],
  ["null", { data: "null" }, "undecodable"],
  ["a list", { data: "[]" }, "undecodable"],
  ["a number", { data: "7" }, "undecodable"],
  ["a text", { data: '"created"' }, "undecodable"],
  ["half an object", { data: JSON.stringify(body).slice(0, 30) }, "undecodable"],
  ["a byte order mark", { data: `\uFEFF${JSON.stringify(body)}` }, "handled"],
  ["no UTF-8", { data: Uint8Array.from([0x22, 0xff, 0xfe, 0x22]) }, "undecodable"],
  ["lists in lists, 100,000 deep", { data: "[".repeat(100_000) }, "undecodable"],
  ["an op that is none", { data: JSON.stringify({ ...body, op: "constructor" }) }, "undecodable"],
  ["an op that is not the subject's", { data: JSON.stringify({ ...body, op: "deleted" }) }, "undecodable"],
  ["an object that says nothing", { data: "{}" }, "undecodable"],
  ["no key", { data: JSON.stringify({ ...body, key: undefined }) }, "undecodable"],
  ["no row", { data: JSON.stringify({ ...body, after: undefined }) }, "undecodable"],
  ["a row that is a list", { data: JSON.stringify({ ...body, after: [1] }) }, "undecodable"],
  ["a member __proto__", { data: `{"__proto__":{"polluted":1},${JSON.stringify(body).slice(1)}` }, "handled"],
  ["no ce-id", { header: { "ce-id": undefined } }, "undecodable"],
  ["no ce-type", { header: { "ce-type": undefined } }, "undecodable"],
  ["no ce-time", { header: { "ce-time": undefined } }, "undecodable"],
  ["a ce-time that is none", { header: { "ce-time": "yesterday" } }, "handled"],
  ["no position", { header: { "Cdc-Pos": undefined } }, "undecodable"],
  ["an id that is badly encoded", { header: { "ce-id": "%zz" } }, "undecodable"],
  ["a second id", { more: "ce-id: another\r\n" }, "handled"],
  ["another version of CloudEvents", { header: { "ce-specversion": "2.0" } }, "undecodable"],
  ["no version of CloudEvents", { header: { "ce-specversion": undefined } }, "handled"],
  ["another kind of content", { header: { "content-type": "application/xml" } }, "handled"],
  ["hops that are no number", { header: { "ce-hops": "many", "ce-correlationid": "a" } }, "handled"],
  ["lineage that is badly encoded", { header: { "ce-hops": "1", "ce-correlationid": "%" } }, "undecodable"],
  ["a lane that is none", { subject: "cdc.shop.public.orders.created.p99" }, "handled"],
];

describe.skipIf(missing("nats"))("a message of a source's stream", () => {
  test("that is no event of ours is a dead letter, and the ones behind it are handled", async () => {
    await using nats = await freshNats();
    await using stream = await ShopStream.create(nats.url);
    const sequences: number[] = [];
    for (const [, { data = JSON.stringify(body), header, more = "", subject = SUBJECT }] of odd) {
      const head = Object.entries({ ...lines, ...header }).filter(([, value]) => value !== undefined);
      const text = head.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      sequences.push(await stream.raw(subject, text + more, data));
    }
    const last = await stream.order("created", { id: 2, status: "fine" });
    const handled: number[] = [];
    await using worker = await startWorker({
      url: nats.url,
      automations: [
        onOrder("any", ({ event }) => {
          handled.push(event.sequence);
        }),
      ],
    });
    await waitFor(async () => handled.includes(last) && (await stream.open("any")) === 0, {
      what: "all to be settled",
    });

    const letters = await stream.deadLetters("any");
    const became = sequences.map((sequence) => {
      const letter = letters.find(({ event }) => (event as { readonly sequence: number }).sequence === sequence);
      return letter ? String(letter.reason) : handled.includes(sequence) ? "handled" : "nothing";
    });
    expect(became.map((what, nth) => `${odd[nth]?.[0]}: ${what}`)).toEqual(
      odd.map(([name, , what]) => `${name}: ${what}`),
    );
    expect(worker.running.status()[0]).toMatchObject({ state: "running" });
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});
