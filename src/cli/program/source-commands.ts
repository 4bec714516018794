// Commands about sources: their databases, their slots, and their streams.

import { Argument } from "commander";
import type { SqlSubject } from "../command/sql.ts";
import { list, sequence } from "./arguments.ts";
import type { Program } from "./program.ts";
import { end, logger, print, stopSignal } from "./terminal.ts";

/** Adds them to the command line. */
export function sourceCommands({ command, program }: Program): void {
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
      const { init } = await import("../command/init.ts");
      await init({ ...options, signal: stopSignal(), print });
    });

  command("check", "ask source and bus for everything that must hold, and print what mends it; changes nothing")
    .argument("[source]", "only this source, and the bus")
    .option("--json", "print the findings as one JSON object", false)
    .action(async (source: string | undefined, options) => {
      const { check } = await import("../command/check.ts");
      if (!(await check({ ...options, source, signal: stopSignal(), print }))) end(3);
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
      const { sql } = await import("../command/sql.ts");
      await sql({ ...options, what, source, print });
    });

  command("types", "write the rows of all tables as TypeScript and as JSON Schema")
    .alias("codegen")
    .argument("[source]", "only this source")
    .option("--out <directory>", "where to write the files", "millrace-types")
    .option("--check", "write nothing; end with 3 when the files differ from the database", false)
    .action(async (source: string | undefined, options) => {
      const { types } = await import("../command/types.ts");
      if (!(await types({ ...options, source, print }))) end(3);
    });

  const slotsCommand = command(
    "slots",
    "show all logical slots of the sources' servers: who reads them, what they hold back, when they are full",
  )
    .option("--watch", "again every two seconds", false)
    .option("--json", "one JSON object a look", false)
    .action(async (options) => {
      const { slots } = await import("../command/slots.ts");
      await slots({ ...options, signal: stopSignal(), print });
    });

  command("drop", "drop a slot that nobody reads; says first what is lost", slotsCommand)
    .argument("<name>", "the slot's name")
    .option("--source <id>", "only on this source's server: where several have a slot of this name, or one is away")
    .option("--yes", "really do it", false)
    .action(async (name: string, options) => {
      const { dropSlot } = await import("../command/slots.ts");
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
      const { removeSource } = await import("../command/source-remove.ts");
      await removeSource({ ...options, source, signal: stopSignal(), print });
    });

  command("verify", "walk a source's stream and tell what is wrong with it")
    .argument("<source>", "the source's id")
    .option("--from <sequence>", "begin at this message", sequence)
    .option("--to <sequence>", "end at this message", sequence)
    .option("--tables", "compare the keys in the tables with the stream's, once the worker has caught up", false)
    .option("--json", "print the report as one JSON object", false)
    .action(async (source: string, options) => {
      const { verify } = await import("../command/verify.ts");
      if (!(await verify({ ...options, source, log: logger(), signal: stopSignal(), print }))) end(3);
    });

  command("erase", "take one event out of a source's stream for good; says first who has not had it")
    .argument("<source>", "the source's id")
    .argument("<sequence>", "the event's number in the stream", sequence)
    .option("--yes", "really do it", false)
    .action(async (source: string, nth: number, options) => {
      const { erase } = await import("../command/erase.ts");
      await erase({ ...options, source, sequence: nth, signal: stopSignal(), print });
    });
}
