// What the subject of an ack says of a handing-out.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseReply } from "../../../src/bus/jetstream/consumer/handout.ts";

const name = fc.stringMatching(/^[A-Za-z0-9_$-]{1,20}$/);
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

describe("the subject of an ack", () => {
  test("says how often, which one and the how manieth, with a domain and without", () => {
    fc.assert(
      fc.property(
        fc.tuple(name, name, number, number, number, number, number),
        fc.option(fc.tuple(name, name)),
        fc.option(name),
        ([stream, durable, count, sequence, nth, time, pending], domain, token) => {
          const place = [stream, durable, count, sequence, nth, time, pending];
          const tail = domain !== null && token !== null ? [token] : [];
          const reply = ["$JS", "ACK", ...(domain ?? []), ...place, ...tail].join(".");
          expect(parseReply(reply)).toEqual({ serverCount: count, sequence, nth });
        },
      ),
    );
  });

  test("says nothing that could be taken for a number where it has none", () => {
    const { sequence } = parseReply("$JS.ACK.CDC_SHOP.ship.1.x7.3.4.5");
    expect(sequence).toBeNaN();
  });
});
