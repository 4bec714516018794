// A system event as a subscriber sees it: a CloudEvent with an id that only its occurrence decides.

import { HTTP } from "cloudevents";
import { expect, test } from "vitest";
import { encodeWorkerEvent } from "../../../src/bus/encode-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { gapEvent, parseSystemEvent } from "../../../src/event/system-event.ts";

const gap = { code: "SLOT_MISSING", reason: "the slot millrace_shop was dropped", after: null, upTo: "0002.01" };
const told = () => {
  const { subject, id, head, data } = encodeWorkerEvent(gapEvent("shop" as SourceId, gap));
  const lines = head.split("\r\n").filter(Boolean);
  return {
    subject,
    id,
    headers: Object.fromEntries(lines.map((line) => line.split(": "))),
    body: Buffer.from(data).toString(),
  };
};
const message = told();
const stored = ({ subject, headers, body }: typeof message) => ({
  subject,
  header: (name: string) => headers[name],
  data: Buffer.from(body),
  sequence: 7,
});

test("it has a whole subject with a lane, and is a CloudEvent", () => {
  expect(message.subject).toMatch(/^events\._system\.gap\.recorded\.p(0\d|1[0-5])$/);
  expect(HTTP.toEvent({ headers: message.headers, body: message.body })).toMatchObject({
    id: "gap.shop.0002.01",
    source: "/_system",
    type: "_system.gap.recorded",
    subject: "shop",
    data: { source: "shop", ...gap },
  });
});

test("told again it has the same id", () => {
  expect(told().id).toBe(message.id);
  expect(message.headers["ce-id"]).toBe(message.id);
});

test("those of several tables that one look found have an id each", () => {
  const ids = [["public.a"], ["public.b"], ["public.a"]].map(
    (collections) => gapEvent("shop" as SourceId, { ...gap, code: "TABLE_RENAMED", collections }).id,
  );

  expect(ids[0]).toMatch(/^gap\.shop\.0002\.01\.TABLE_RENAMED\.[0-9a-f]{16}$/);
  expect([ids[1] !== ids[0], ids[2]]).toEqual([true, ids[0]]);
});

test("a handler gets its data; what somebody else put there is undecodable", () => {
  expect(parseSystemEvent(stored(message))).toMatchObject({
    id: message.id,
    type: "_system.gap.recorded",
    data: { source: "shop", upTo: "0002.01" },
    sequence: 7,
  });
  for (const wrong of [
    { ...message, body: "{" },
    { ...message, headers: {} },
  ]) {
    expect(() => parseSystemEvent(stored(wrong))).toThrow(expect.objectContaining({ code: "EVENT_UNDECODABLE" }));
  }
});
