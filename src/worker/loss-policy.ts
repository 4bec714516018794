// Whether a source goes on behind what is lost: a person's decision, once by `run --adopt`, or the source's option `onGap`.

import { HistoryLostError, TransientError } from "../errors.ts";
import type { Loss, Source, SourceContext, SourceMessage } from "../source/source.ts";
import type { ReadOptions } from "./tell-schemas.ts";

/** @param adopt holds for one loss @param onGap holds for every gap, and for nothing that is another's */
export function lossPolicy(adopt: boolean, onGap: "stop" | "continue"): Pick<SourceContext, "accepts" | "onAccepted"> {
  let adopting = adopt;
  return {
    accepts: (loss) => adopting || (onGap === "continue" && kindOf(loss) === "gap"),
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
 * Reads a source, which gives up its history where the reading ends by a loss that is accepted.
 * @throws TransientError SOURCE_STARTS_OVER then; else what the source throws
 */
export async function* readUntilLost(
  source: Pick<Source, "read" | "giveUp">,
  { accepts, onAccepted }: Pick<SourceContext, "accepts" | "onAccepted">,
  options: ReadOptions,
): AsyncGenerator<readonly SourceMessage[], void> {
  try {
    yield* source.read(options);
  } catch (error) {
    if (!(error instanceof HistoryLostError) || source.giveUp === undefined || !accepts(error)) throw error;
    await source.giveUp(error);
    onAccepted();
    throw new TransientError("SOURCE_STARTS_OVER", `${error.code}: ${error.message}`, {
      hint: "Nothing to do: the source begins a new history, and the stream names the gap.",
      cause: error,
    });
  }
}
