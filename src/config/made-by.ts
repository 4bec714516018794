// Which automations this build can run. A user's module may load its own copy of this package, so an automation is found by a
// symbol that all copies share; but a worker reads what only its own version writes into one.

import { ConfigError } from "../errors.ts";
import { version } from "../version.ts";

/** What every automation carries, whichever copy of this package made it. */
export const automationBrand: unique symbol = Symbol.for("millrace.automation");

/** The version of this package, which an automation carries as `madeBy`. */
export const madeBy: string = version;

/** Its id; undefined for what is no automation. */
export function automationId(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null || !(automationBrand in value)) return undefined;
  return "id" in value && typeof value.id === "string" ? value.id : undefined;
}

/**
 * Refuses an automation that another version made.
 * @param place where it is written, a file or an option
 * @throws ConfigError `AUTOMATION_VERSION`
 */
export function refuseOtherVersion(automation: object, place: string): void {
  const its = "madeBy" in automation && typeof automation.madeBy === "string" ? automation.madeBy : undefined;
  if (its === madeBy) return;
  const other = its === undefined ? "an older millrace, which does not say its version" : `millrace ${its}`;
  throw new ConfigError(
    "AUTOMATION_VERSION",
    `${place}: ${JSON.stringify(automationId(automation))} was made by ${other}; millrace ${madeBy} cannot run it`,
    {
      hint: "Have one version installed: `npm ls millrace` names who brings the other one. A package of automations names millrace under peerDependencies.",
    },
  );
}

/**
 * Refuses what is no automation of this version, in a list of them.
 * @param place of the list
 * @throws ConfigError `AUTOMATION_INVALID`, `AUTOMATION_VERSION`
 */
export function refuseUnfitList(list: readonly unknown[], place: string): void {
  for (const [nth, one] of list.entries()) {
    const where = `${place}[${nth}]`;
    if (automationId(one) === undefined) {
      throw new ConfigError("AUTOMATION_INVALID", `${where} is no automation`, {
        hint: "List what automation() returns. undefined is there where modules import each other in a circle, or a name is exported by none.",
      });
    }
    refuseOtherVersion(one as object, where);
  }
}
