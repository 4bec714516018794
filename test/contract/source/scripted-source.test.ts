// The scripted source, on the bus in memory and in virtual time: with two partitions, and with one log.

import { describe } from "vitest";
import { memoryServer } from "../memory-server.ts";
import { scriptedServer } from "./scripted-server.ts";
import { sourceContract } from "./source-contract.ts";

describe.each([
  ["of two partitions", ["north", "south"]],
  ["of one log", []],
] as const)("the contract of a source, by a script %s,", (_, partitions) => {
  const bus = memoryServer();
  sourceContract(scriptedServer(bus.time, partitions), bus);
});
