// Commands that steer automations and endpoints, and what they have not handled.

import type { Command } from "commander";
import { sequence } from "./arguments.ts";
import type { Program } from "./program.ts";
import { logger, print, stopSignal } from "./terminal.ts";

/** Adds them to the command line. */
export function automationCommands({ command, program }: Program): void {
  const automationsCommand = program
    .command("automations")
    .description("show and steer automations, by the bus: with workers that run, and without");

  command("list", "how each stands: state, what waits for it, what is dead", automationsCommand)
    .option("--json", "one JSON array", false)
    .action(async (options) => {
      const { listAutomations } = await import("../command/automations.ts");
      await listAutomations({ ...options, signal: stopSignal(), print });
    });

  command("pause", "begin no handler of it any more, in no worker; ends when that is so", automationsCommand)
    .argument("<id>", "the automation's id")
    .action(async (id: string, options) => {
      const { pauseAutomation } = await import("../command/automations.ts");
      await pauseAutomation({ ...options, id, signal: stopSignal(), print });
    });

  command("resume", "let it go on where it stands", automationsCommand)
    .argument("<id>", "the automation's id")
    .action(async (id: string, options) => {
      const { resumeAutomation } = await import("../command/automations.ts");
      await resumeAutomation({ ...options, id, signal: stopSignal(), print });
    });

  command("seek", "let it go on at another place; what it has had comes again, as a run of its own", automationsCommand)
    .argument("<id>", "the automation's id")
    .argument("<to>", "earliest, now, a time like 2026-01-31T12:00:00Z, or the sequence of a message")
    .action(async (id: string, to: string, options) => {
      const { seekAutomation } = await import("../command/automations.ts");
      await seekAutomation({ ...options, id, to, signal: stopSignal(), print });
    });

  command("keys", "its keys that stand still, and what is to become of them", automationsCommand)
    .argument("<id>", "the automation's id")
    .option("--resume [key]", "try the event that stops the key anew")
    .option("--drop [key]", "make the event that stops the key a dead letter, and let the key go on")
    .option("--all", "all of them", false)
    .option("--json", "one JSON array", false)
    .action(async (id: string, options) => {
      const { blockedKeys } = await import("../command/blocked-keys.ts");
      await blockedKeys({ ...options, id, signal: stopSignal(), print });
    });

  const endpointsCommand = program
    .command("endpoints")
    .description("show and steer what send() reaches, by the bus: with workers that run, and without");

  command("list", "how each stands: open, paused or disabled, since when and why", endpointsCommand)
    .option("--json", "one JSON array", false)
    .action(async (options) => {
      const { listEndpoints } = await import("../command/endpoints.ts");
      await listEndpoints({ ...options, signal: stopSignal(), print });
    });

  command("pause", "send nothing to it any more, from no worker; what is for it waits", endpointsCommand)
    .argument("<name>", "the endpoint's name")
    .action(async (name: string, options) => {
      const { pauseEndpoint } = await import("../command/endpoints.ts");
      await pauseEndpoint({ ...options, name, signal: stopSignal(), print });
    });

  command("resume", "let it go on, also where it failed for long or has answered 410", endpointsCommand)
    .argument("<name>", "the endpoint's name")
    .action(async (name: string, options) => {
      const { resumeEndpoint } = await import("../command/endpoints.ts");
      await resumeEndpoint({ ...options, name, signal: stopSignal(), print });
    });

  const deadCommand = program
    .command("dead")
    .alias("dlq")
    .description("show what could not be handled, hand it out once more, or put it away");

  /** Which dead letters. */
  function deadLetters(name: string, description: string): Command {
    return command(name, description, deadCommand)
      .option("--reason <reason>", "only those: exhausted, expired, fatal, cycle, undecodable, crashed")
      .option("--fingerprint <digits>", "only those whose error has it, or begins with it")
      .option("--since <time>", "only those that were stored then or later: 2026-01-31T12:00:00Z");
  }

  deadLetters("list", "those of all automations and sources, or of one; alike errors in one line")
    .argument("[automation]", "the automation's id, or _source.<source>")
    .option("--json", "one JSON array, an element a letter", false)
    .action(async (target: string | undefined, options) => {
      const { listDead } = await import("../command/dead.ts");
      await listDead({ ...options, target, signal: stopSignal(), print });
    });

  command("show", "one letter, whole", deadCommand)
    .argument("<letter>", "its number: id of `dead list --json`", sequence)
    .option("--json", "print it as one JSON object", false)
    .action(async (letter: number, options) => {
      const { showDead } = await import("../command/dead.ts");
      await showDead({ ...options, letter, signal: stopSignal(), print });
    });

  deadLetters("replay", "hand them to their automation alone, where they act again, and take them away")
    .argument("<target>", "the automation's id, or the number of a letter")
    .option("--note <text>", "why, for the record")
    .option("--yes", "really do it", false)
    .action(async (target: string, options) => {
      const { replayDead } = await import("../command/dead.ts");
      await replayDead({ ...options, target, signal: stopSignal(), print });
    });

  deadLetters("drop", "put them away for good")
    .argument("<target>", "the automation's id, _source.<source>, or the number of a letter")
    .option("--note <text>", "why, for the record")
    .option("--yes", "really do it", false)
    .action(async (target: string, options) => {
      const { dropDead } = await import("../command/dead.ts");
      await dropDead({ ...options, target, signal: stopSignal(), print });
    });

  command("replay", "hand events of the past to one automation alone once more, as a run of their own")
    .requiredOption("--automation <id>", "the automation's id")
    .option("--from <place>", "begin at this time or sequence (default: the stream's first event)")
    .option("--to <place>", "end before this time, or with this sequence (default: now)")
    .option("--where <pattern>", "only those that match, as JSON, beside the automation's own where")
    .option("--run <run>", "go on with one that was interrupted")
    .option("--dry-run", "only say how many, the first, the last and some of them", false)
    .option("--json", "print what was done as one JSON object", false)
    .action(async (options) => {
      const { replay } = await import("../command/replay.ts");
      await replay({ ...options, log: logger(), signal: stopSignal(), print });
    });
}
