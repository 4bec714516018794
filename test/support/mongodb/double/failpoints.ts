// Faults that a test asks for: a command fails, loses its connection, or is never answered.

import type { BSON } from "mongodb";
import { CommandError } from "./command-error.ts";

export interface Fault {
  readonly command: string;
  /** Which of them; default: all. */
  readonly when?: (body: BSON.Document) => unknown;
  /** How many; default 1. */
  readonly times?: number;
  /** How many pass first; default 0. */
  readonly after?: number;
  /** What the server answers. */
  readonly code?: number;
  readonly codeName?: string;
  readonly message?: string;
  readonly labels?: readonly string[];
  /** The connection is lost instead of an answer. */
  readonly close?: boolean;
  /** The answer comes so much later. */
  readonly delayMs?: number;
}

/** What the labels of a server are for errors that a driver may resume behind. */
export const RESUMABLE = ["ResumableChangeStreamError"];

interface Armed {
  readonly fault: Fault;
  after: number;
  times: number;
}

export class Failpoints {
  readonly #armed = new Set<Armed>();

  add(fault: Fault): void {
    this.#armed.add({ fault, after: fault.after ?? 0, times: fault.times ?? 1 });
  }

  /** How many faults are still to be met. */
  get armed(): number {
    return this.#armed.size;
  }

  clear(): void {
    this.#armed.clear();
  }

  /** The fault that this command meets. */
  meet(command: string, body: BSON.Document): Fault | undefined {
    for (const armed of this.#armed) {
      const { fault } = armed;
      if (fault.command !== command || (fault.when && !fault.when(body))) continue;
      if (armed.after > 0) {
        armed.after--;
        continue;
      }
      if (--armed.times <= 0) this.#armed.delete(armed);
      return fault;
    }
    return undefined;
  }
}

/** What a fault answers; undefined where it only delays. */
export function errorOf({ code, codeName, message, labels, command }: Fault): CommandError | undefined {
  if (code === undefined) return undefined;
  return new CommandError(code, codeName ?? `Location${code}`, message ?? `${command} was told to fail`, labels);
}
