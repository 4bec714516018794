// Commands of millrace where a configuration has the source shop, which nobody answers for, and the automations given as text.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { scratchDir } from "../servers.ts";
import { type CommandResult, runCommand } from "./run-command.ts";

/** Runs a command with what follows it. */
export type RunShopCommand = (...args: string[]) => Promise<CommandResult>;

const MAIL_AND_BILL =
  'automation("mail", { on: orders.created() }, () => {}), automation("bill", { on: orders.created() }, () => {})';

/**
 * Writes the configuration into a directory of its own, and resolves to what runs a command there.
 * @param url of nats-server
 * @param command what each run begins with
 * @param automations a list as source text, over `orders`; by default mail and bill
 * @param more further sections, as JSON
 */
export async function shopCommand(
  url: string,
  command: readonly string[],
  automations: string = MAIL_AND_BILL,
  more: object = {},
): Promise<RunShopCommand> {
  const cwd = await shopConfig(url, automations, more);
  return (...args) => runCommand([...command, ...args], { cwd });
}

/** The directory of its own that has the configuration, for `shopCommand`. */
export async function shopConfig(url: string, automations: string = MAIL_AND_BILL, more: object = {}): Promise<string> {
  const cwd = await scratchDir();
  await writeFile(
    join(cwd, "millrace.config.mjs"),
    `import { automation, collection } from "millrace";
const orders = collection("shop", "public.orders");
export default {
  bus: { servers: ${JSON.stringify(url)} },
  sources: { shop: { kind: "postgres", url: "postgres://nobody@127.0.0.1:1/none", tables: ["public.*"] } },
  automations: [${automations}],
  ...${JSON.stringify(more)},
};
`,
  );
  return cwd;
}
