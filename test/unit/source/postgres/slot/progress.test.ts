// When a stream stands still, and when it only has nothing to do or a slow reader.

import { describe, expect, test } from "vitest";
import type { Received } from "../../../../../src/source/postgres/replication/replication.ts";
import { Progress } from "../../../../../src/source/postgres/slot/progress.ts";

const at = (lsn: bigint, frames = 0, hungry = true): Received => ({ lsn, frames, hungry });

describe("a stream", () => {
  test("that is where the log is does not stand still, however often it is looked at", () => {
    const progress = new Progress();
    progress.expect(100n);

    expect([1, 2, 3].map(() => progress.look(at(100n)))).toEqual([0, 0, 0]);
  });

  test("that is behind and does not move stands still from the second look on", () => {
    const progress = new Progress();
    progress.expect(100n);

    expect([1, 2, 3].map(() => progress.look(at(50n)))).toEqual([0, 1, 2]);
    expect(progress.look(at(60n))).toBe(0);
  });

  test("that carries frames moves, though their place in the log is an old one", () => {
    const progress = new Progress();
    progress.expect(100n);

    expect([1, 2, 3].map((frames) => progress.look(at(50n, frames)))).toEqual([0, 0, 0]);
  });

  test("whose reader takes nothing is not at fault", () => {
    const progress = new Progress();
    progress.expect(100n);

    expect([1, 2, 3].map(() => progress.look(at(50n, 1, false)))).toEqual([0, 0, 0]);
  });

  test("is expected where the log was, never further back", () => {
    const progress = new Progress();
    progress.expect(100n);
    progress.expect(40n);

    expect(progress.expected).toBe(100n);
  });
});
