// Commands that run a worker, or show one that runs.

import { Option } from "commander";
import { list, seconds } from "./arguments.ts";
import type { Program } from "./program.ts";
import { end, logger, print, stopSignal, verbose } from "./terminal.ts";

/** Adds them to the command line. */
export function workerCommands({ command, program }: Program): void {
  command("run", "run the worker; SIGTERM drains it")
    .option("--sources <ids>", "only these sources: a,b", list)
    .option("--automations <ids>", "only these automations: a,b, or none", list)
    .option(
      "--adopt",
      "accept once that history was lost, a slot that is not on record, or events that an automation missed: go on, and record the gap",
      false,
    )
    .action(async (options) => {
      const { run } = await import("../command/run.ts");
      const automations = options.automations?.join() === "none" ? [] : options.automations;
      await run({ ...options, automations, log: logger("debug"), verbose, signal: stopSignal() });
    });

  command(
    "dev",
    "run the worker with a Postgres and a nats-server of its own where none are named; reload on change",
  ).action(async (options) => {
    const { dev } = await import("../command/dev.ts");
    await dev({ ...options, log: logger(), signal: stopSignal() });
  });

  command("status", "show what the running worker says of its sources and automations")
    .option("--watch", "again every two seconds", false)
    .option("--json", "one JSON object a look", false)
    .action(async (options) => {
      const { status } = await import("../command/status.ts");
      await status({ ...options, signal: stopSignal(), print });
    });

  program
    .command("demo")
    .description("show it all on this machine: servers, a shop, automations, and a count of what was lost")
    .addOption(
      new Option("--source <kind>", "the database that the shop is on")
        .choices(["postgres", "mongodb", "dynamodb"])
        .default("postgres"),
    )
    .option("--seconds <n>", "end by itself (default: at Ctrl-C)", seconds)
    .option("--json", "print the summary as one JSON object", false)
    .option("--keep", "leave the data in .millrace/demo", false)
    .action(async (options) => {
      const { demo } = await import("../command/demo.ts");
      if (!(await demo({ ...options, signal: stopSignal(), print }))) end(1);
    });
}
