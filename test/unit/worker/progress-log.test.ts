// When a source's standing is told in the log.

import { expect, test } from "vitest";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { ProgressLog } from "../../../src/worker/progress-log.ts";

const MINUTE_MS = 60_000;

function follow() {
  const said: (string | undefined)[] = [];
  const log = new ProgressLog({ ...silentLogger, info: (_event, _fields, text) => void said.push(text) });
  const look = (published: number, minute: number, more: object = {}): void =>
    log.look(
      {
        ...{ id: "shop", state: "running" as const, position: undefined, sequence: published, published },
        ...{ unsentBytes: 0, unconfirmedBytes: 0, lagSeconds: 0 },
        ...more,
      },
      minute * MINUTE_MS,
    );
  return { said, look };
}

test("it is told once the source streams and its lag is known", () => {
  const { said, look } = follow();

  look(0, 0, { state: "starting", unconfirmedBytes: undefined });
  look(0, 0, { unconfirmedBytes: undefined });
  look(0, 0);
  look(0, 1);

  expect(said).toEqual(["streaming"]);
});

test("while events come it is told every five minutes, and while none come never", () => {
  const { said, look } = follow();

  for (let minute = 0; minute <= 12; minute++) look(minute * 10, minute);
  for (let minute = 13; minute <= 600; minute++) look(120, minute);

  expect(said).toEqual([
    "streaming",
    "50 published since the last line",
    "50 published since the last line",
    "20 published since the last line",
  ]);
});

test("after an interruption it is told again", () => {
  const { said, look } = follow();

  look(5, 0);
  look(5, 1, { state: "retrying", unconfirmedBytes: undefined });
  look(5, 2);

  expect(said).toEqual(["streaming", "streaming"]);
});
