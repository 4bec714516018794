#!/usr/bin/env node
// The command `millrace`: its arguments, its exit codes, and the one place that says what went wrong.

import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { BugError, ConfigError, toError } from "../errors.ts";
import { createLogger } from "../telemetry/create-logger.ts";
import type { Logger } from "../telemetry/logger.ts";
import { takeStray } from "../telemetry/stray.ts";
import { version } from "../version.ts";
import type { SqlSubject } from "./command/sql.ts";
import { describeError, exitCodeOf } from "./common/report-error.ts";

// Six lines before what a command says: that later versions of the AWS SDK will need Node 22 is in docs/connectors/dynamodb.md.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";

const verbose = process.argv.includes("--verbose");

function end(code: number): never {
  process.exit(code);
}

function fail(thrown: unknown): never {
  console.error(describeError(thrown, verbose));
  end(exitCodeOf(thrown));
}

function logger(level: "debug" | "info" = verbose ? "debug" : "info"): Logger {
  return createLogger({ level, pretty: process.stderr.isTTY === true });
}

function list(text: string): readonly string[] {
  return text.split(",").map((id) => id.trim());
}

function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 86_400)) throw new InvalidArgumentError("expected a number of seconds up to 86400");
  return value;
}

function sequence(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("expected a sequence number from 1");
  return value;
}

/** Resolves when the line is with the reader or its buffer; whoever stops reading ends the command. */
function print(line: string): Promise<void> {
  return new Promise((resolve) => {
    if (process.stdout.write(`${line}\n`)) resolve();
    else process.stdout.once("drain", resolve);
  });
}

/** One Ctrl-C may come as two signals: from the terminal, and from a runner (npm) that passes it on. */
const SAME_MS = 1000;

/** Aborts with the first signal. */
function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let firstMs = 0;
  const onSignal = (): void => {
    if (!controller.signal.aborted) {
      firstMs = performance.now();
      controller.abort();
    } else if (performance.now() - firstMs > SAME_MS) process.exit(1);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}

const program = new Command("millrace")
  .description("Committed database changes to NATS JetStream, and from there to automations.")
  .version(version)
  .option("--verbose", "say more, and show where errors come from")
  .exitOverride()
  .configureOutput({ writeErr: () => {} }); // said by usageError, in two lines like all errors

/** A command that reads the configuration. */
function command(name: string, description: string, parent: Command = program): Command {
  const file = "the configuration (default: millrace.config.* in this directory)";
  return parent.command(name).description(description).option("--config <file>", file);
}

command("run", "run the worker; SIGTERM drains it")
  .option("--sources <ids>", "only these sources: a,b", list)
  .option("--automations <ids>", "only these automations: a,b, or none", list)
  .option(
    "--adopt",
    "accept once that history was lost, a slot that is not on record, or events that an automation missed: go on, and record the gap",
    false,
  )
  .action(async (options) => {
    const { run } = await import("./command/run.ts");
    const automations = options.automations?.join() === "none" ? [] : options.automations;
    await run({ ...options, automations, log: logger("debug"), verbose, signal: stopSignal() });
  });

program
  .command("init")
  .description("write a configuration, one automation and what a DBA runs; asks on a terminal")
  .option("--source <id>", "the name of the source")
  .option(
    "--url <url>",
    "where its Postgres or MongoDB is (looked at, never written into a file), or dynamodb://REGION",
  )
  .option("--tables <patterns>", "the tables or collections to read: public.*,!public.sessions", list)
  .option("--nats <url>", "where the nats-server is")
  .action(async (options) => {
    const { init } = await import("./command/init.ts");
    await init({ ...options, signal: stopSignal(), print });
  });

command(
  "dev",
  "run the worker with a Postgres and a nats-server of its own where none are named; reload on change",
).action(async (options) => {
  const { dev } = await import("./command/dev.ts");
  await dev({ ...options, log: logger(), signal: stopSignal() });
});

command("check", "ask source and bus for everything that must hold, and print what mends it; changes nothing")
  .argument("[source]", "only this source, and the bus")
  .option("--json", "print the findings as one JSON object", false)
  .action(async (source: string | undefined, options) => {
    const { check } = await import("./command/check.ts");
    if (!(await check({ ...options, source, signal: stopSignal(), print }))) end(3);
  });

command("status", "show what the running worker says of its sources and automations")
  .option("--watch", "again every two seconds", false)
  .option("--json", "one JSON object a look", false)
  .action(async (options) => {
    const { status } = await import("./command/status.ts");
    await status({ ...options, signal: stopSignal(), print });
  });

command("trigger", "send an automation with a manual() trigger an event by hand")
  .argument("<automation>", "its id")
  .option("--data <json>", "what the event has as its data; - reads it from the input (default: null)")
  .option("--id <id>", "sent twice within an hour with the same one, it is one event (default: another one each time)")
  .action(async (id, { id: eventId, ...options }) => {
    const { triggerAutomation } = await import("./command/trigger.ts");
    await triggerAutomation({ ...options, id, eventId, signal: stopSignal(), print });
  });

command("report", "run a command, pass its exit code on, and tell how it ended: system.script.completed or failed")
  .argument("<command...>", "the command and its arguments, behind --; no shell reads them")
  .option("--name <name>", "what the event calls it (default: the command's file name)")
  .option("--to <url>", "tell a worker by HTTP, where this machine does not reach the bus: https://in.example.com")
  .option("--token-env <variable>", "the environment variable with the token for --to", "MILLRACE_EVENTS_TOKEN")
  .action(async (words: readonly string[], options) => {
    const { report } = await import("./command/report.ts");
    end(await report({ ...options, command: words, warn: (line) => console.error(line) }));
  });

const automationsCommand = program
  .command("automations")
  .description("show and steer automations, by the bus: with workers that run, and without");

command("list", "how each stands: state, what waits for it, what is dead", automationsCommand)
  .option("--json", "one JSON array", false)
  .action(async (options) => {
    const { listAutomations } = await import("./command/automations.ts");
    await listAutomations({ ...options, signal: stopSignal(), print });
  });

command("pause", "begin no handler of it any more, in no worker; ends when that is so", automationsCommand)
  .argument("<id>", "the automation's id")
  .action(async (id: string, options) => {
    const { pauseAutomation } = await import("./command/automations.ts");
    await pauseAutomation({ ...options, id, signal: stopSignal(), print });
  });

command("resume", "let it go on where it stands", automationsCommand)
  .argument("<id>", "the automation's id")
  .action(async (id: string, options) => {
    const { resumeAutomation } = await import("./command/automations.ts");
    await resumeAutomation({ ...options, id, signal: stopSignal(), print });
  });

command("seek", "let it go on at another place; what it has had comes again, as a run of its own", automationsCommand)
  .argument("<id>", "the automation's id")
  .argument("<to>", "earliest, now, a time like 2026-01-31T12:00:00Z, or the sequence of a message")
  .action(async (id: string, to: string, options) => {
    const { seekAutomation } = await import("./command/automations.ts");
    await seekAutomation({ ...options, id, to, signal: stopSignal(), print });
  });

command("keys", "its keys that stand still, and what is to become of them", automationsCommand)
  .argument("<id>", "the automation's id")
  .option("--resume [key]", "try the event that stops the key anew")
  .option("--drop [key]", "make the event that stops the key a dead letter, and let the key go on")
  .option("--all", "all of them", false)
  .option("--json", "one JSON array", false)
  .action(async (id: string, options) => {
    const { blockedKeys } = await import("./command/blocked-keys.ts");
    await blockedKeys({ ...options, id, signal: stopSignal(), print });
  });

const endpointsCommand = program
  .command("endpoints")
  .description("show and steer what send() reaches, by the bus: with workers that run, and without");

command("list", "how each stands: open, paused or disabled, since when and why", endpointsCommand)
  .option("--json", "one JSON array", false)
  .action(async (options) => {
    const { listEndpoints } = await import("./command/endpoints.ts");
    await listEndpoints({ ...options, signal: stopSignal(), print });
  });

command("pause", "send nothing to it any more, from no worker; what is for it waits", endpointsCommand)
  .argument("<name>", "the endpoint's name")
  .action(async (name: string, options) => {
    const { pauseEndpoint } = await import("./command/endpoints.ts");
    await pauseEndpoint({ ...options, name, signal: stopSignal(), print });
  });

command("resume", "let it go on, also where it failed for long or has answered 410", endpointsCommand)
  .argument("<name>", "the endpoint's name")
  .action(async (name: string, options) => {
    const { resumeEndpoint } = await import("./command/endpoints.ts");
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
    const { listDead } = await import("./command/dead.ts");
    await listDead({ ...options, target, signal: stopSignal(), print });
  });

command("show", "one letter, whole", deadCommand)
  .argument("<letter>", "its number: id of `dead list --json`", sequence)
  .option("--json", "print it as one JSON object", false)
  .action(async (letter: number, options) => {
    const { showDead } = await import("./command/dead.ts");
    await showDead({ ...options, letter, signal: stopSignal(), print });
  });

deadLetters("replay", "hand them to their automation alone, where they act again, and take them away")
  .argument("<target>", "the automation's id, or the number of a letter")
  .option("--note <text>", "why, for the record")
  .option("--yes", "really do it", false)
  .action(async (target: string, options) => {
    const { replayDead } = await import("./command/dead.ts");
    await replayDead({ ...options, target, signal: stopSignal(), print });
  });

deadLetters("drop", "put them away for good")
  .argument("<target>", "the automation's id, _source.<source>, or the number of a letter")
  .option("--note <text>", "why, for the record")
  .option("--yes", "really do it", false)
  .action(async (target: string, options) => {
    const { dropDead } = await import("./command/dead.ts");
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
    const { replay } = await import("./command/replay.ts");
    await replay({ ...options, log: logger(), signal: stopSignal(), print });
  });

const slotsCommand = command(
  "slots",
  "show all logical slots of the sources' servers: who reads them, what they hold back, when they are full",
)
  .option("--watch", "again every two seconds", false)
  .option("--json", "one JSON object a look", false)
  .action(async (options) => {
    const { slots } = await import("./command/slots.ts");
    await slots({ ...options, signal: stopSignal(), print });
  });

command("drop", "drop a slot that nobody reads; says first what is lost", slotsCommand)
  .argument("<name>", "the slot's name")
  .option("--source <id>", "only on this source's server: where several have a slot of this name, or one is away")
  .option("--yes", "really do it", false)
  .action(async (name: string, options) => {
    const { dropSlot } = await import("./command/slots.ts");
    await dropSlot({ ...slotsCommand.opts(), ...options, name, signal: stopSignal(), print });
  });

command(
  "remove",
  "drop its slot and publication, and with --stream all it has on the bus; says first what is lost",
  program.command("source").description("what is about one source as a whole"),
)
  .argument("<id>", "the source's id, still in the configuration")
  .option("--stream", "its stream too, with all events and subscriptions", false)
  .option("--yes", "really do it", false)
  .option("--json", "print what it was, and whether it was removed, as one JSON object", false)
  .action(async (source: string, options) => {
    const { removeSource } = await import("./command/source-remove.ts");
    await removeSource({ ...options, source, signal: stopSignal(), print });
  });

command("sql", "print what a DBA runs for a source, SQL or text for mongosh; changes nothing")
  .addArgument(
    new Argument(
      "<what>",
      "its role, its publication, the tables of outbox and inbox, or triggers that tell of DDL",
    ).choices(["role", "publication", "outbox", "inbox", "event-triggers"]),
  )
  .argument("[source]", "only this source")
  .action(async (what: SqlSubject, source: string | undefined, options) => {
    const { sql } = await import("./command/sql.ts");
    await sql({ ...options, what, source, print });
  });

command("types", "write the rows of all tables as TypeScript and as JSON Schema")
  .alias("codegen")
  .argument("[source]", "only this source")
  .option("--out <directory>", "where to write the files", "millrace-types")
  .option("--check", "write nothing; end with 3 when the files differ from the database", false)
  .action(async (source: string | undefined, options) => {
    const { types } = await import("./command/types.ts");
    if (!(await types({ ...options, source, print }))) end(3);
  });

command("tail", "print events as they come")
  .argument("[filter]", "a source's id, or a whole subject: cdc.shop.public.orders.created.*")
  .option("--last <n>", "begin with the newest n events that are there, of each stream", sequence)
  .option("--json", "one JSON object a line", false)
  .action(async (filter: string | undefined, options) => {
    const { tail } = await import("./command/tail.ts");
    await tail({ ...options, filter, log: logger(), signal: stopSignal(), print });
  });

command("log", "say what became of an event in every automation, or of the newest events of one")
  .argument("<event-or-automation>", "an automation's id, an event's (ce-id), or its place: CDC_SHOP:1042")
  .option("--outcome <outcomes>", "of an automation only these: done,skipped,filtered,retried,dead,shadow", list)
  .option("--since <time>", "of an automation only from then on: 30m, 24h, or a time")
  .option("--last <n>", "of an automation at most the newest n records (default: 50)", sequence)
  .option("--json", "one JSON object", false)
  .action(async (what: string, options) => {
    const { log } = await import("./command/log.ts");
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
    const { testPattern } = await import("./command/test-pattern.ts");
    if (!(await testPattern({ ...options, pattern, print }))) end(3);
  });

command("verify", "walk a source's stream and tell what is wrong with it")
  .argument("<source>", "the source's id")
  .option("--from <sequence>", "begin at this message", sequence)
  .option("--to <sequence>", "end at this message", sequence)
  .option("--tables", "compare the keys in the tables with the stream's, once the worker has caught up", false)
  .option("--json", "print the report as one JSON object", false)
  .action(async (source: string, options) => {
    const { verify } = await import("./command/verify.ts");
    if (!(await verify({ ...options, source, log: logger(), signal: stopSignal(), print }))) end(3);
  });

command("erase", "take one event out of a source's stream for good; says first who has not had it")
  .argument("<source>", "the source's id")
  .argument("<sequence>", "the event's number in the stream", sequence)
  .option("--yes", "really do it", false)
  .action(async (source: string, nth: number, options) => {
    const { erase } = await import("./command/erase.ts");
    await erase({ ...options, source, sequence: nth, signal: stopSignal(), print });
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
    const { demo } = await import("./command/demo.ts");
    if (!(await demo({ ...options, signal: stopSignal(), print }))) end(1);
  });

function usageError(error: CommanderError): ConfigError {
  const message = error.code === "commander.help" ? "no command is named" : error.message.replace(/^error: /, "");
  return new ConfigError("CLI_USAGE", message, {
    hint: "`millrace --help` and `millrace <command> --help` list what there is.",
  });
}

for (const event of ["uncaughtException", "unhandledRejection"] as const) {
  process.on(event, (thrown: unknown) => {
    if (takeStray(thrown)) return; // one automation's mistake ends no other
    fail(new BugError("UNHANDLED", toError(thrown).message, { cause: thrown }));
  });
}
process.stdout.on("error", () => end(0)); // `millrace tail | head` has seen enough
process.stderr.on("error", () => {}); // nobody reads the log: no reason to stop

try {
  await program.parseAsync();
  end(0);
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) fail(toError(thrown));
  if (thrown.exitCode === 0) end(0);
  fail(usageError(thrown));
}
