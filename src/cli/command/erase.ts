// `millrace erase`: takes one event out of a source's stream, because the law or a person asks for it.

import { type Erasable, eraseEvent } from "../../bus/jetstream/commands/erase-event.ts";
import { resolveBusConfig } from "../../config/resolve.ts";
import { ConfigError } from "../../errors.ts";
import { isSourceId } from "../../event/source-id.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { confirm, printable } from "../common/terminal.ts";

export interface EraseCommandOptions extends CommandOptions {
  readonly source: string;
  readonly sequence: number;
  /** Without it a person on a terminal is asked, and all others are refused. */
  readonly yes: boolean;
}

/** @throws ConfigError ERASE_UNCONFIRMED, and what stands in the way; TransientError */
export async function erase({ config, source, sequence, yes, signal, print }: EraseCommandOptions): Promise<void> {
  if (!isSourceId(source)) {
    throw new ConfigError("ERASE_SOURCE", `${source} cannot be a source's id`, {
      hint: "Give the name under `sources` in the configuration.",
    });
  }
  const file = await readConfig(config);
  const ask = async (event: Erasable): Promise<boolean> => {
    for (const line of lossLines(event)) await print(printable(line));
    return confirm({ word: String(sequence), to: "erase it", yes, signal });
  };
  const access = resolveBusConfig(file).access.reveal();
  if (!(await eraseEvent({ ...access, source, sequence, signal, confirm: ask }))) {
    throw new ConfigError("ERASE_UNCONFIRMED", `the message ${sequence} of ${source} is still there`, {
      hint: "Add --yes to erase it.",
    });
  }
  await print("erased; what automations and subscribers made of it is theirs to erase");
}

function lossLines({ stream, sequence, subject, id, deadLetters, waiting, unsettled }: Erasable): readonly string[] {
  return [
    `${stream} #${sequence}: ${subject} ${id}`,
    ...(deadLetters > 0 ? [`  dead letters that hold it: ${deadLetters}`] : []),
    ...waiting.map((name) => `  ${name} has it put off for later: it never gets it`),
    ...unsettled.map((name) => `  ${name} may not have had it: it never gets it, and an automation is told a gap`),
  ];
}
