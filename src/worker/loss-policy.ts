// Whether a source goes on behind what is lost: a person's decision, once by `run --adopt`, or the source's option `onGap`.

import { HistoryLostError, TransientError } from "../errors.ts";
import type { Loss, OnGap, Source, SourceContext } from "../source/source.ts";

/** @param adopt holds for one loss @param onGap holds for every gap, and for nothing that is another's */
export function lossPolicy(adopt: boolean, onGap: OnGap): Pick<SourceContext, "accepts" | "onAccepted"> {
  let adopting = adopt;
  return {
    accepts: (loss) => adopting || (onGap !== "stop" && kindOf(loss) === "gap"),
    onAccepted: () => {
      adopting = false;
    },
  };
}

function kindOf(loss: Loss | HistoryLostError): Loss {
  if (!(loss instanceof HistoryLostError)) return loss;
  return loss.foreign ? "foreign" : "gap";
}

/**
 * What a reading ended by; where that is a loss that is accepted, the source gives up its history.
 * @returns TransientError SOURCE_STARTS_OVER then; else what was thrown
 * @throws what `giveUp` throws
 */
export async function startOver(
  source: Pick<Source, "giveUp">,
  { accepts, onAccepted }: Pick<SourceContext, "accepts" | "onAccepted">,
  thrown: unknown,
): Promise<unknown> {
  if (!(thrown instanceof HistoryLostError) || source.giveUp === undefined || !accepts(thrown)) return thrown;
  await source.giveUp(thrown);
  onAccepted();
  return new TransientError("SOURCE_STARTS_OVER", `${thrown.code}: ${thrown.message}`, {
    hint: "Nothing to do: the source begins a new history, and the stream names the gap.",
    cause: thrown,
  });
}
