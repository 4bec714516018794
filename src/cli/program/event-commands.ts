// Commands that send events, and look at them.

import { list, sequence } from "./arguments.ts";
import type { Program } from "./program.ts";
import { end, logger, print, stopSignal } from "./terminal.ts";

/** Adds them to the command line. */
export function eventCommands({ command }: Program): void {
  command("trigger", "send an automation with a manual() trigger an event by hand")
    .argument("<automation>", "its id")
    .option("--data <json>", "what the event has as its data; - reads it from the input (default: null)")
    .option(
      "--id <id>",
      "sent twice within an hour with the same one, it is one event (default: another one each time)",
    )
    .action(async (id, { id: eventId, ...options }) => {
      const { triggerAutomation } = await import("../command/trigger.ts");
      await triggerAutomation({ ...options, id, eventId, signal: stopSignal(), print });
    });

  command("report", "run a command, pass its exit code on, and tell how it ended: system.script.completed or failed")
    .argument("<command...>", "the command and its arguments, behind --; no shell reads them")
    .option("--name <name>", "what the event calls it (default: the command's file name)")
    .option("--to <url>", "tell a worker by HTTP, where this machine does not reach the bus: https://in.example.com")
    .option("--token-env <variable>", "the environment variable with the token for --to", "MILLRACE_EVENTS_TOKEN")
    .action(async (words: readonly string[], options) => {
      const { report } = await import("../command/report.ts");
      end(await report({ ...options, command: words, warn: (line) => console.error(line) }));
    });

  command("tail", "print events as they come")
    .argument("[filter]", "a source's id, or a whole subject: cdc.shop.public.orders.created.*")
    .option("--last <n>", "begin with the newest n events that are there, of each stream", sequence)
    .option("--json", "one JSON object a line", false)
    .action(async (filter: string | undefined, options) => {
      const { tail } = await import("../command/tail.ts");
      await tail({ ...options, filter, log: logger(), signal: stopSignal(), print });
    });

  command("log", "say what became of an event in every automation, or of the newest events of one")
    .argument("<event-or-automation>", "an automation's id, an event's (ce-id), or its place: CDC_SHOP:1042")
    .option("--outcome <outcomes>", "of an automation only these: done,skipped,filtered,retried,dead,shadow", list)
    .option("--since <time>", "of an automation only from then on: 30m, 24h, or a time")
    .option("--last <n>", "of an automation at most the newest n records (default: 50)", sequence)
    .option("--json", "one JSON object", false)
    .action(async (what: string, options) => {
      const { log } = await import("../command/log.ts");
      await log({ ...options, what, signal: stopSignal(), print });
    });

  command("test-pattern", "say whether events match a pattern or an automation's where, and which clause fails")
    .argument("[pattern]", "the pattern as JSON, or the file that it is in")
    .option("--automation <id>", "the where of this automation, as its triggers see the event")
    .option(
      "--event <file>",
      "events as `millrace tail --json` writes them, or one as JSON; - for the standard input",
      "-",
    )
    .option("--schema <file>", "what `millrace types` wrote of the columns: millrace-types/shop.schema.json")
    .option("--collection <name>", "whose columns of it: public.orders")
    .option("--json", "one JSON object an event", false)
    .action(async (pattern: string | undefined, options) => {
      const { testPattern } = await import("../command/test-pattern.ts");
      if (!(await testPattern({ ...options, pattern, print }))) end(3);
    });
}
