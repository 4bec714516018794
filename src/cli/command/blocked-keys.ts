// `millrace automations keys`: the keys that stand still, and what a person says of them.

import type { Automation } from "../../automation/define/automation.ts";
import { type Asked, askBlocked, type BlockedKey, listBlocked } from "../../automation/order/blocked-keys.ts";
import { keyName } from "../../automation/order/lane-key.ts";
import { type AutomationSteering, openAutomationSteering } from "../../bus/jetstream/commands/steer-automation.ts";
import { realClock } from "../../clock.ts";
import { resolveBusConfig } from "../../config/resolve.ts";
import { ConfigError } from "../../errors.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { namedAutomation } from "../common/named-automation.ts";
import { printable } from "../common/terminal.ts";

/** A worker looks every second what was said; it stores a dead letter before it forgets the key. */
const OBEYED_MS = 10_000;
const LOOK_MS = 200;

export interface KeysOptions extends CommandOptions {
  readonly id: string;
  readonly json: boolean;
  /** Of which key, as it is listed; `true` with `all`. */
  readonly resume?: string | true;
  readonly drop?: string | true;
  readonly all: boolean;
}

/** `automations keys`. @throws ConfigError AUTOMATION_UNKNOWN, KEY_UNKNOWN, KEYS_ASKED; TransientError */
export async function blockedKeys({ id, json, signal, print, ...options }: KeysOptions): Promise<void> {
  const asked = askedOf(options);
  const file = await readConfig(options.config, true);
  const { automations = [] } = file as { readonly automations?: readonly Automation[] };
  namedAutomation(automations, id);
  const { access, replicas } = resolveBusConfig(file);
  await using steering = await openAutomationSteering({ ...access.reveal(), replicas, signal });
  const { state } = steering;
  if (asked === undefined) {
    const keys = await listBlocked(state, id);
    if (json) return print(JSON.stringify(keys.map(reportOf)));
    for (const line of linesOf(id, keys)) await print(line);
    return;
  }
  const told = await askBlocked(
    state,
    id,
    (key) => asked.key === undefined || namesOf(key).includes(asked.key),
    asked.what,
  );
  if (told.length === 0 && asked.key !== undefined) {
    throw new ConfigError("KEY_UNKNOWN", `no key of ${id} that stands still is called ${asked.key}`, {
      hint: `millrace automations keys ${id} lists them`,
    });
  }
  const left = await untilObeyed(state, id, told, signal);
  const done = asked.what === "resume" ? "resumed" : "dropped: its event is a dead letter";
  for (const key of told) {
    const waits = left.has(key.lane);
    await print(`${printable(keyName(key.lane))} ${waits ? "waits for a worker that runs it, to be" : "is"} ${done}`);
  }
  if (told.length === 0) await print(`no key of ${id} stands still`);
}

interface AskedKeys {
  readonly what: Asked;
  /** Undefined: all. */
  readonly key: string | undefined;
}

/** @throws ConfigError KEYS_ASKED */
function askedOf({ resume, drop, all }: Pick<KeysOptions, "resume" | "drop" | "all">): AskedKeys | undefined {
  if (resume === undefined && drop === undefined && !all) return undefined;
  const given = resume ?? drop;
  const key = given === true ? undefined : given;
  if (given === undefined || (resume !== undefined && drop !== undefined) || all !== (key === undefined)) {
    throw new ConfigError("KEYS_ASKED", "it is not clear which keys are meant, and what is to become of them", {
      hint: "write --resume KEY, --drop KEY, --resume --all or --drop --all",
    });
  }
  return { what: resume === undefined ? "drop" : "resume", key };
}

/** Lanes of those that nobody has obeyed yet. */
async function untilObeyed(
  state: AutomationSteering["state"],
  id: string,
  told: readonly BlockedKey[],
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const until = realClock.now() + OBEYED_MS;
  for (;;) {
    const now = await listBlocked(state, id);
    const left = told.filter((key) => now.some((one) => one.lane === key.lane && one.id === key.id && one.asked));
    if (left.length === 0 || realClock.now() > until || signal.aborted) return new Set(left.map(({ lane }) => lane));
    await realClock.sleep(LOOK_MS, signal);
  }
}

/** As it is listed, and without the table or aggregate. */
function namesOf({ lane }: BlockedKey): readonly string[] {
  const name = keyName(lane);
  return [name, name.slice(name.indexOf("/") + 1)];
}

/** As `--json` has it. */
function reportOf({ lane, sequence, id, since, reason, attempts, error, asked }: BlockedKey) {
  const at = new Date(since).toISOString();
  return { key: keyName(lane), event: id, sequence, since: at, reason, attempts, error, asked: asked ?? null };
}

function linesOf(id: string, keys: readonly BlockedKey[]): readonly string[] {
  if (keys.length === 0) return [`no key of ${id} stands still`];
  return keys
    .map(reportOf)
    .flatMap(({ key, event, since, reason, attempts, error }) => [
      printable(`${key}  since ${since}, ${reason} after ${attempts} attempts: ${error.name}: ${error.message}`),
      printable(`    event ${event}`),
    ]);
}
