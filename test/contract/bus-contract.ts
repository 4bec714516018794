// What any bus owes the worker: the facts that hold for each implementation of `Bus`, whichever server it stands on.

import { busCheckpointContract } from "./bus-checkpoint-contract.ts";
import { busConsumerContract } from "./bus-consumer-contract.ts";
import { busDeliveryContract } from "./bus-delivery-contract.ts";
import { busGround } from "./bus-ground.ts";
import { busHandoverContract } from "./bus-handover-contract.ts";
import { busIntakeContract } from "./bus-intake-contract.ts";
import { busOrderedContract } from "./bus-ordered-contract.ts";
import { busRetryContract } from "./bus-retry-contract.ts";
import { busSeekContract } from "./bus-seek-contract.ts";
import type { BusServer } from "./bus-server.ts";
import { busStateContract } from "./bus-state-contract.ts";
import { busStoreContract } from "./bus-store-contract.ts";
import { busWriterContract } from "./bus-writer-contract.ts";

/** Call it inside of a `describe` that names the bus. */
export function busContract(server: BusServer): void {
  const ground = busGround(server);
  busWriterContract(ground);
  busHandoverContract(ground);
  busCheckpointContract(ground);
  busConsumerContract(ground);
  busDeliveryContract(ground);
  busOrderedContract(ground);
  busRetryContract(ground);
  busSeekContract(ground);
  busStateContract(ground);
  busStoreContract(ground);
  busIntakeContract(ground);
}
