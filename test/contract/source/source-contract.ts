// What any source owes the worker: the facts that hold for each connector, whichever database it reads.

import type { BusServer } from "../bus-server.ts";
import { sourceEndFacts } from "./source-end-facts.ts";
import { sourceGround } from "./source-ground.ts";
import { sourceKillFacts } from "./source-kill-facts.ts";
import { sourceLogFacts } from "./source-log-facts.ts";
import { sourceLossFacts } from "./source-loss-facts.ts";
import { sourceOrderFacts } from "./source-order-facts.ts";
import { sourceReadingFacts } from "./source-reading-facts.ts";
import type { SourceServer } from "./source-server.ts";
import { sourceWatchFacts } from "./source-watch-facts.ts";

/** Call it inside of a `describe` that names the source. @param bus what its worker writes to */
export function sourceContract(server: SourceServer, bus: BusServer): void {
  const ground = sourceGround(server, bus);
  sourceLogFacts(ground);
  sourceReadingFacts(ground);
  sourceOrderFacts(ground);
  sourceKillFacts(ground);
  sourceEndFacts(ground);
  sourceLossFacts(ground);
  sourceWatchFacts(ground);
}
