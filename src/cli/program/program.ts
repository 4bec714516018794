// The command line itself, and what its commands have in common.

import { Command } from "commander";
import { version } from "../../version.ts";

/** What commands are added to. */
export interface Program {
  readonly program: Command;
  /** Adds a command that reads the configuration, to `parent` or to the program. */
  readonly command: (name: string, description: string, parent?: Command) => Command;
}

/** A command line without commands; its errors are thrown as CommanderError, and not printed. */
export function openProgram(): Program {
  const program = new Command("millrace")
    .description("Committed database changes to NATS JetStream, and from there to automations.")
    .version(version)
    .option("--verbose", "say more, and show where errors come from")
    .exitOverride()
    .configureOutput({ writeErr: () => {} }); // said by whoever runs it, in two lines like all errors
  const file = "the configuration (default: millrace.config.* in this directory)";
  return {
    program,
    command: (name, description, parent = program) =>
      parent.command(name).description(description).option("--config <file>", file),
  };
}
