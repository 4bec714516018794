// The machine that a result belongs to.

import { cpus, release, totalmem, type } from "node:os";

export interface Machine {
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGb: number;
    readonly system: string;
  };
  readonly node: string;
  readonly date: string;
}

export function describeMachine(): Machine {
  return {
    machine: {
      cpu: cpus()[0]?.model ?? "unknown",
      cores: cpus().length,
      memoryGb: Math.round(totalmem() / 2 ** 30),
      system: `${type()} ${release()}`,
    },
    node: process.versions.node,
    date: new Date().toISOString().slice(0, 10),
  };
}
