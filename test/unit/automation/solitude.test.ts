// Who may run beside whom.

import { expect, test } from "vitest";
import { Solitude } from "../../../src/automation/deliver/solitude.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

test("it is known for how long the first has waited, be it the one that is to be alone or another", () => {
  const clock = new VirtualClock();
  const solitude = new Solitude(clock);
  void solitude.enter(false);
  clock.advance(60_000);
  const idle = solitude.waitingMs;
  void solitude.enter(true);
  clock.advance(20_000);
  void solitude.enter(false);
  clock.advance(20_000);
  const behindOne = solitude.waitingMs;
  solitude.leave();
  const behindAlone = solitude.waitingMs;
  solitude.leave();

  expect([idle, behindOne, behindAlone, solitude.waitingMs]).toEqual([0, 40_000, 20_000, 0]);
});

test("handlers run side by side, one that is to be alone waits for them, and the others for it and its like", async () => {
  const solitude = new Solitude(new VirtualClock());
  const order: string[] = [];
  const enter = (name: string, alone: boolean): void => {
    const turn = solitude.enter(alone);
    if (turn === undefined) order.push(name);
    else void turn.then(() => order.push(name));
  };
  const after = async (): Promise<string> => {
    await Promise.resolve();
    return order.join(" ");
  };

  enter("a", false);
  enter("b", false);
  enter("alone1", true);
  enter("c", false);
  enter("alone2", true);
  expect(await after()).toBe("a b");
  solitude.leave();
  expect(await after()).toBe("a b");
  solitude.leave();
  expect(await after()).toBe("a b alone1");
  solitude.leave();
  expect(await after()).toBe("a b alone1 alone2");
  enter("d", false);
  solitude.leave();
  expect(await after()).toBe("a b alone1 alone2 c d");
});
