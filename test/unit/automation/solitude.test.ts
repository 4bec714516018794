// Who may run beside whom.

import { expect, test } from "vitest";
import { Solitude } from "../../../src/automation/deliver/solitude.ts";

test("handlers run side by side, one that is to be alone waits for them, and the others for it and its like", async () => {
  const solitude = new Solitude();
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
