// `millrace endpoints`: shows how endpoints stand on the bus, pauses them, and lets them go on.

import { publishEvent } from "../../bus/jetstream/commands/publish-event.ts";
import { type AutomationSteering, openAutomationSteering } from "../../bus/jetstream/commands/steer-automation.ts";
import { endpointKind } from "../../config/endpoints-schema.ts";
import { nearest } from "../../config/nearest.ts";
import { resolveBusConfig } from "../../config/resolve.ts";
import { changeStanding, readStanding, type Standing } from "../../egress/standing/record.ts";
import { ConfigError } from "../../errors.ts";
import { endpointEvent } from "../../event/system-event.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { asker } from "../common/named-automation.ts";
import { type Paint, paint, printable } from "../common/terminal.ts";

/** As `--json` has it. */
interface Listed {
  readonly id: string;
  readonly kind: string;
  readonly state: Standing["state"];
  /** Who changed it last, when and why; null before the first change. */
  readonly changed: Pick<Standing, "by" | "at" | "reason"> | null;
}

/** `endpoints list`. @throws ConfigError, TransientError */
export async function listEndpoints({ json, ...options }: CommandOptions & { readonly json: boolean }): Promise<void> {
  const { steering, kinds } = await opened(options);
  await using _ = steering;
  const found = await Promise.all(
    [...kinds].map(async ([id, kind]): Promise<Listed> => {
      const { state = "open", ...standing } = (await readStanding(steering.state, id))?.standing ?? {};
      const { by, at, reason } = standing as Partial<Standing>;
      const changed = by === undefined || at === undefined || reason === undefined ? null : { by, at, reason };
      return { id, kind, state, changed };
    }),
  );
  if (json) return options.print(JSON.stringify(found));
  for (const line of linesOf(found, paint(process.stdout))) await options.print(line);
}

export interface EndpointCommandOptions extends CommandOptions {
  readonly name: string;
}

/** `endpoints pause`: within a second or two no worker sends to it any more. @throws ConfigError ENDPOINT_UNKNOWN, TransientError */
export async function pauseEndpoint(options: EndpointCommandOptions): Promise<void> {
  const changed = await change(options, (known) =>
    known?.state === "paused" && known.reason === "asked"
      ? undefined
      : { state: "paused", ...asker(), reason: "asked" },
  );
  await options.print(
    `${options.name} ${changed ? "is" : "was"} paused: what is for it waits, and spends no attempts; within two seconds no worker sends to it`,
  );
}

/** `endpoints resume`: also one that has disabled itself. @throws ConfigError ENDPOINT_UNKNOWN, TransientError */
export async function resumeEndpoint(options: EndpointCommandOptions): Promise<void> {
  const changed = await change(options, (known) =>
    known === undefined || known.state === "open" ? undefined : { state: "open", ...asker(), reason: "asked" },
  );
  await options.print(
    changed ? `${options.name} is open: what waits for it goes on within seconds` : `${options.name} was open already`,
  );
}

async function change(
  { name, ...options }: EndpointCommandOptions,
  next: (known: Standing | undefined) => Omit<Standing, "n"> | undefined,
): Promise<boolean> {
  const { steering, kinds, bus } = await opened(options);
  await using _ = steering;
  if (!kinds.has(name)) throw unknownEndpoint(name, [...kinds.keys()]);
  const tell = (standing: Standing): Promise<void> => publishEvent(endpointEvent(name, standing), bus);
  return (await changeStanding(steering.state, name, next, tell)).changed;
}

function unknownEndpoint(name: string, names: readonly string[]): ConfigError {
  const meant = nearest(name, names);
  return new ConfigError("ENDPOINT_UNKNOWN", `the configuration has no endpoint ${name}`, {
    hint: `${meant === undefined ? "" : `did you mean ${meant}? `}it has ${names.join(", ") || "none"}`,
  });
}

interface Opened {
  readonly steering: AutomationSteering;
  /** Of the configuration, by name: no secret of theirs has to be set. */
  readonly kinds: ReadonlyMap<string, string>;
  readonly bus: Parameters<typeof publishEvent>[1];
}

async function opened({ config, signal }: CommandOptions): Promise<Opened> {
  const file = await readConfig(config);
  const { access, replicas } = resolveBusConfig(file);
  const { endpoints = {} } = file as { readonly endpoints?: Readonly<Record<string, unknown>> };
  const bus = { ...access.reveal(), replicas, signal };
  const kinds = new Map(Object.entries(endpoints).map(([name, one]) => [name, endpointKind(one)]));
  return { steering: await openAutomationSteering(bus), kinds, bus };
}

const COLOURS = { open: "green", paused: "yellow", disabled: "red" } as const;
const REASONS = { asked: "asked for", failing: "it failed for long", gone: "it answered 410", probe: "it works again" };

function linesOf(endpoints: readonly Listed[], colour: Paint): readonly string[] {
  if (endpoints.length === 0) return ["there is no endpoint"];
  const row = (id: string, kind: string, state: string): string => `${id.padEnd(32)} ${kind.padEnd(10)} ${state}`;
  return [
    colour("dim", row("ENDPOINT", "KIND", "STATE")),
    ...endpoints.flatMap(({ id, kind, state, changed }) => {
      const why = changed === null ? [] : [`    since ${changed.at}, by ${changed.by}: ${REASONS[changed.reason]}`];
      return [colour(COLOURS[state], row(id, kind, state)), ...why.map((line) => printable(line))];
    }),
  ];
}
