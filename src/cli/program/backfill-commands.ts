// Commands that copy rows that existed before.

import type { Program } from "./program.ts";
import { print, stopSignal } from "./terminal.ts";

/** Adds them to the command line. */
export function backfillCommands({ program, command }: Program): void {
  const backfillCommand = program
    .command("backfill")
    .description(
      "copy rows that existed before into a source's stream, beside its events; obeyed by the worker that reads it",
    );

  command("start", "begin a copy", backfillCommand)
    .argument("<source>", "the source's id")
    .argument("[collections...]", "only these, like public.orders; default: all that the source reads")
    .option("--rate <rows>", "rows a second at most, in the mean")
    .action(async (source: string, collections: string[], options) => {
      const { startBackfill } = await import("../command/backfill.ts");
      await startBackfill({ ...options, source, collections, signal: stopSignal(), print });
    });

  command("status", "what was asked for, and how far it is", backfillCommand)
    .argument("<source>", "the source's id")
    .option("--json", "one JSON object", false)
    .action(async (source: string, options) => {
      const { showBackfill } = await import("../command/backfill.ts");
      await showBackfill({ ...options, source, signal: stopSignal(), print });
    });

  for (const [name, description] of [
    ["pause", "let it rest behind the batch in hand"],
    ["resume", "let one that rests go on"],
    ["cancel", "end it where it is; what was copied stays in the stream"],
  ] as const) {
    command(name, description, backfillCommand)
      .argument("<source>", "the source's id")
      .action(async (source: string, options) => {
        const { steerBackfill } = await import("../command/backfill.ts");
        await steerBackfill({ ...options, to: name, source, signal: stopSignal(), print });
      });
  }
}
