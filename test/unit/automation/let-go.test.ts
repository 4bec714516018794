import { expect, test } from "vitest";
import { ackAgain } from "../../../src/automation/deliver/let-go.ts";
import type { Delivery } from "../../../src/bus/subscription.ts";
import { TransientError } from "../../../src/errors.ts";

test.each([
  ["BUS_ACK_INTERRUPTED", [0]],
  ["BUS_ACK_UNCONFIRMED", []], // out of the way already
])(
  "of an event that only had to be acked, and was not (%s), is given back what is in hand still",
  async (code, expected) => {
    const givenBack: number[] = [];
    const delivery = {
      ack: () => Promise.reject(new TransientError(code, "not acked", { hint: "none" })),
      retry: (ms: number) => void givenBack.push(ms),
    };
    await new Promise<void>((resolve) => {
      ackAgain(delivery as unknown as Delivery, { freed: () => {}, ended: resolve });
    });
    expect(givenBack).toEqual(expected);
  },
);
