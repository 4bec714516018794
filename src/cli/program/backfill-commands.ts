// Commands that copy rows that existed before.

import { list } from "./arguments.ts";
import type { Program } from "./program.ts";
import { end, logger, print, stopSignal } from "./terminal.ts";

/** Adds them to the command line. */
export function backfillCommands({ program, command }: Program): void {
  const backfillCommand = program
    .command("backfill")
    .description(
      "copy rows that existed before into a source's stream, beside its events; obeyed by the worker that reads it",
    );

  command("start", "begin a copy, and show how far it is; Ctrl-C leaves it going on", backfillCommand)
    .argument("<source>", "the source's id")
    .argument("[collections...]", "only these, like public.orders; default: all that the source reads")
    .option("--rate <rows>", "rows a second at most, in the mean; max: as fast as it can")
    .option(
      "--from-gap",
      "copy what the newest gap of the stream covers, and say at its end that it is made good",
      false,
    )
    .option("--where <pattern>", 'only rows that match, as JSON: { "after": { "status": ["open"] } }')
    .option("--detach", "do not wait for its end", false)
    .option("--json", "print how it ended, or with --detach how it stands, as one JSON object", false)
    .action(async (source: string, collections: string[], options) => {
      const { startBackfill } = await import("../command/backfill.ts");
      const given = { ...options, source, collections, log: logger(), signal: stopSignal(), print };
      if (!(await startBackfill(given))) end(3);
    });

  command("status", "what was asked for, and how far it is", backfillCommand)
    .argument("<source>", "the source's id")
    .option("--watch", "again every two seconds, until it is over", false)
    .option("--json", "one JSON object a look", false)
    .action(async (source: string, options) => {
      const { showBackfill } = await import("../command/backfill.ts");
      await showBackfill({ ...options, source, signal: stopSignal(), print });
    });

  for (const [name, description] of [
    ["pause", "let it rest behind the batch in hand"],
    ["resume", "let one that rests go on; also change how fast one goes, or what it leaves out"],
    ["cancel", "end it where it is; what was copied stays in the stream"],
  ] as const) {
    const steered = command(name, description, backfillCommand).argument("<source>", "the source's id");
    if (name === "resume")
      steered
        .option("--rate <rows>", "from now on, rows a second at most; max: as fast as it can")
        .option(
          "--without <collections>",
          "leave these out from now on: what holds one up then holds up no other",
          list,
        );
    steered.action(async (source: string, options) => {
      const { steerBackfill } = await import("../command/backfill.ts");
      await steerBackfill({ ...options, to: name, source, signal: stopSignal(), print });
    });
  }
}
