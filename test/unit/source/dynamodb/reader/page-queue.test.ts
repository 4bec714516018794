import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { PageQueue } from "../../../../../src/source/dynamodb/reader/page-queue.ts";

function queue({ bytes = 1_000, readers = 2 } = {}): PageQueue<string, string> {
  return new PageQueue({ bytes, readers });
}

/** All that waits by now. */
async function taken(from: PageQueue<string, string>, count: number): Promise<readonly string[]> {
  const items: string[] = [];
  for (let nth = 0; nth < count; nth++) items.push((await from.next(0))?.item ?? "closed");
  return items;
}

describe("what was added", () => {
  test("is handed out line by line in turn, and of each line in its order", async () => {
    const one = queue();
    for (const nth of [1, 2, 3, 4]) one.add("hot", `hot ${nth}`, 1);
    one.add("a", "a 1", 1);
    one.add("b", "b 1", 1);
    one.add("a", "a 2", 1);
    expect(await taken(one, 7)).toEqual(["hot 1", "a 1", "b 1", "hot 2", "a 2", "hot 3", "hot 4"]);
  });

  test("in a line that was empty stands behind the other lines", async () => {
    const one = queue();
    one.add("a", "a 1", 1);
    one.add("b", "b 1", 1);
    await taken(one, 1);
    one.add("a", "a 2", 1);
    expect(await taken(one, 2)).toEqual(["b 1", "a 2"]);
  });

  test("is waited for", async () => {
    const one = queue();
    const next = one.next(0);
    one.add("a", "a 1", 7);
    expect(await next).toEqual({ item: "a 1", bytes: 7 });
  });
});

/** Begins to read, and tells when its turn has come. */
function reader(of: PageQueue<string, string>, bytes = 0) {
  const state = { began: false, end: (): void => {} };
  const over = of.inTurn(bytes, async () => {
    state.began = true;
    await new Promise<void>((resolve) => {
      state.end = resolve;
    });
  });
  return { state, over };
}

describe("who reads", () => {
  test("waits until fewer read than may, in the order of asking", async () => {
    const one = queue();
    const readers = [reader(one), reader(one), reader(one), reader(one)];
    await turn();
    expect(readers.map(({ state }) => state.began)).toEqual([true, true, false, false]);
    readers[1]?.state.end();
    await turn();
    expect(readers.map(({ state }) => state.began)).toEqual([true, true, true, false]);
  });

  test("waits while as many bytes wait as may, until the one behind them is asked for", async () => {
    const one = queue();
    one.add("a", "a 1", 600);
    one.add("b", "b 1", 400);
    const { state } = reader(one);
    const first = await one.next(0);
    await turn();
    expect(state.began).toBe(false);
    await one.next(first?.bytes ?? 0);
    await turn();
    expect(state.began).toBe(true);
  });

  test("counts with what it may bring until it has brought it, however little that is", async () => {
    const one = queue({ readers: 9 });
    const readers = [reader(one, 600), reader(one, 400), reader(one, 1)];
    await turn();
    expect(readers.map(({ state }) => state.began)).toEqual([true, true, false]);
    one.add("a", "a 1", 10);
    readers[0]?.state.end();
    await turn();
    expect(readers.map(({ state }) => state.began)).toEqual([true, true, true]);
  });

  test("is let in alone with more than all may bring", async () => {
    const one = queue();
    const readers = [reader(one, 5_000), reader(one, 1)];
    await turn();
    expect(readers.map(({ state }) => state.began)).toEqual([true, false]);
  });

  test.each([
    ["closed", (one: PageQueue<string, string>) => one.close()],
    ["failed", (one: PageQueue<string, string>) => one.fail(new Error("over"))],
  ])("and waits is let in when it has %s, to see that it is over", async (_, end) => {
    const one = queue({ readers: 0 });
    const { state, over } = reader(one);
    end(one);
    await turn();
    expect(state.began).toBe(true);
    state.end();
    await over;
  });
});

test("A failure is told behind all that was read before it, the first one alone", async () => {
  const one = queue();
  one.add("a", "a 1", 1);
  one.fail(new Error("first"));
  one.fail(new Error("second"));
  one.add("a", "a 2", 1);
  expect(await taken(one, 2)).toEqual(["a 1", "a 2"]);
  await expect(one.next(0)).rejects.toThrow("first");
});

test("One that is closed hands out nothing more", async () => {
  const one = queue();
  one.add("a", "a 1", 1);
  one.close();
  expect(await one.next(0)).toBeUndefined();
});
