// Whether a source goes on behind what is lost: a person's decision, once by `run --adopt`, or the source's option `onGap`.

import type { Loss, SourceContext } from "../source/source.ts";

/** @param adopt holds for one loss @param onGap holds for every gap, and for nothing that is another's */
export function lossPolicy(adopt: boolean, onGap: "stop" | "continue"): Pick<SourceContext, "accepts" | "onAccepted"> {
  let adopting = adopt;
  return {
    accepts: (loss: Loss) => adopting || (loss === "gap" && onGap === "continue"),
    onAccepted: () => {
      adopting = false;
    },
  };
}
