// Behind what a source goes on: by `--adopt` behind one loss of any kind, by its option behind every gap and nothing else.

import { expect, test } from "vitest";
import { lossPolicy } from "../../../src/worker/loss-policy.ts";

test.each([
  [false, "stop", { gap: false, foreign: false }],
  [false, "continue", { gap: true, foreign: false }],
  [true, "stop", { gap: true, foreign: true }],
  [true, "continue", { gap: true, foreign: true }],
] as const)("--adopt %s and onGap %s accept %j", (adopt, onGap, accepted) => {
  const { accepts } = lossPolicy(adopt, onGap);

  expect({ gap: accepts("gap"), foreign: accepts("foreign") }).toEqual(accepted);
});

test.each(["stop", "continue"] as const)("--adopt holds for one loss; then %s decides", (onGap) => {
  const { accepts, onAccepted } = lossPolicy(true, onGap);
  onAccepted();

  expect({ gap: accepts("gap"), foreign: accepts("foreign") }).toEqual({ gap: onGap === "continue", foreign: false });
});
