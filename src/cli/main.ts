#!/usr/bin/env node
// The command `millrace`: its commands, its exit codes, and the one place that says what went wrong.

import { CommanderError } from "commander";
import { BugError, ConfigError, toError } from "../errors.ts";
import { takeStray } from "../telemetry/stray.ts";
import { automationCommands } from "./program/automation-commands.ts";
import { backfillCommands } from "./program/backfill-commands.ts";
import { eventCommands } from "./program/event-commands.ts";
import { openProgram } from "./program/program.ts";
import { sourceCommands } from "./program/source-commands.ts";
import { end, fail } from "./program/terminal.ts";
import { workerCommands } from "./program/worker-commands.ts";

// Six lines before what a command says: that later versions of the AWS SDK will need Node 22 is in docs/connectors/dynamodb.md.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";

const cli = openProgram();
workerCommands(cli);
sourceCommands(cli);
automationCommands(cli);
backfillCommands(cli);
eventCommands(cli);

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
  await cli.program.parseAsync();
  end(0);
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) fail(toError(thrown));
  if (thrown.exitCode === 0) end(0);
  fail(usageError(thrown));
}
