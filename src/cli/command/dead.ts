// `millrace dead`: what could not be handled, for a person to look at, hand out again, or put away.

import type { Automation } from "../../automation/define/automation.ts";
import {
  type DeadLetters,
  type LetterFilter,
  openDeadLetterCommands,
  type Replayed,
} from "../../bus/jetstream/commands/dead-letters.ts";
import { headerOf, type Letter } from "../../bus/jetstream/commands/letter.ts";
import { resolveBusConfig } from "../../config/resolve.ts";
import { ConfigError } from "../../errors.ts";
import { sourceOfStream } from "../../event/source-id.ts";
import { deadEvent } from "../../event/system-event.ts";
import { redact } from "../../telemetry/redact.ts";
import { groupLetters, groupLines, type LetterGroup, letterLines } from "../common/dead-lines.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { asker, namedAutomation } from "../common/named-automation.ts";
import { confirm, paint, printable } from "../common/terminal.ts";

export interface DeadOptions extends CommandOptions {
  /** An automation's id, `_source.<source>`, or the number of a letter; undefined means all. */
  readonly target?: string | undefined;
  readonly reason?: string | undefined;
  readonly fingerprint?: string | undefined;
  readonly since?: string | undefined;
}

/** `dead list`. @throws ConfigError, TransientError */
export async function listDead({ json, print, ...options }: DeadOptions & { readonly json: boolean }): Promise<void> {
  const { letters, meant } = await opened({ ...options, print });
  await using _ = letters;
  if (!json) {
    for (const line of groupLines(await groupLetters(meant()), paint(process.stdout))) await print(line);
    return;
  }
  // One array, and never all of it in memory.
  let before = "[";
  for await (const letter of meant()) {
    await print(`${before}${redact(JSON.stringify(reportOf(letter)))}`);
    before = ",";
  }
  await print(before === "[" ? "[]" : "]");
}

export interface ShowOptions extends CommandOptions {
  readonly letter: number;
  readonly json: boolean;
}

/** `dead show`. @throws ConfigError DEAD_UNKNOWN, TransientError */
export async function showDead({ letter: id, json, print, ...options }: ShowOptions): Promise<void> {
  const { letters } = await opened({ ...options, print });
  await using _ = letters;
  const letter = (await letters.one(id)) ?? unknownLetter(String(id));
  if (json) return print(redact(JSON.stringify({ ...reportOf(letter), ...bodyOf(letter) })));
  for (const line of letterLines(letter)) await print(printable(redact(line)));
}

export interface SettleDeadOptions extends DeadOptions {
  /** Without it a person on a terminal is asked, and all others are refused. */
  readonly yes: boolean;
  /** Why, for the record. */
  readonly note?: string | undefined;
}

/** `dead replay`. @throws ConfigError DEAD_UNCONFIRMED, DEAD_UNKNOWN, AUTOMATION_UNKNOWN, DEAD_REPLAY_REFUSED; TransientError */
export async function replayDead({ yes, note, print, ...options }: SettleDeadOptions): Promise<void> {
  const { letters, meant, automations } = await opened({ ...options, print });
  await using _ = letters;
  const found = await groupLetters(meant());
  for (const { automation } of found) if (automation !== null) namedAutomation(automations, automation);
  await agreed(found, { ...options, print, yes, to: "hand them out once more" });
  let [handedOut, refused] = [0, 0];
  for await (const some of chunks(upTo(found, meant()))) {
    const ends: Replayed[] = [];
    await letters.handOut(some, (end) => void ends.push(end));
    const done = ends.flatMap((end) => ("run" in end ? end.letter : []));
    // Taken away last: killed before, all of them are handed out once more under the same names, and told of once more.
    await recorded(letters, "replayed", done, note);
    await letters.drop(done.map(({ id }) => id));
    handedOut += done.length;
    refused += ends.length - done.length;
    for (const end of ends)
      if ("refused" in end) await print(printable(redact(`  not #${end.letter.id}: ${end.refused}`)));
  }
  await print(`${handedOut} handed out once more, to their automation alone`);
  if (refused === 0) return;
  throw new ConfigError("DEAD_REPLAY_REFUSED", `${refused} of ${handedOut + refused} letters cannot be handed out`, {
    hint: "see why above; millrace dead drop puts them away",
  });
}

/** `dead drop`. @throws ConfigError DEAD_UNCONFIRMED, DEAD_UNKNOWN; TransientError */
export async function dropDead({ yes, note, print, ...options }: SettleDeadOptions): Promise<void> {
  const { letters, meant } = await opened({ ...options, print });
  await using _ = letters;
  const found = await groupLetters(meant());
  await agreed(found, { ...options, print, yes, to: "put them away for good" });
  const dropped: Letter[] = [];
  for await (const letter of upTo(found, meant())) dropped.push({ ...letter, body: undefined });
  // On record first: killed in between, what is left is still there, and is recorded once more.
  await recorded(letters, "dropped", dropped, note);
  await letters.drop(dropped.map(({ id }) => id));
  await print(`${dropped.length} put away`);
}

/** Without those that came since they were looked at: a letter may come back as soon as it is handed out. */
async function* upTo(seen: readonly LetterGroup[], letters: AsyncIterable<Letter>): AsyncGenerator<Letter> {
  const newest = Math.max(0, ...seen.map((group) => group.newest.id));
  for await (const letter of letters) {
    if (letter.id > newest) return;
    yield letter;
  }
}

/** So many letters, whole, are in memory: handed out, told of, taken away. */
const REPLAYED_AT_ONCE = 100;

async function* chunks(letters: AsyncIterable<Letter>): AsyncGenerator<readonly Letter[]> {
  let some: Letter[] = [];
  for await (const letter of letters) {
    some.push(letter);
    if (some.length < REPLAYED_AT_ONCE) continue;
    yield some;
    some = [];
  }
  if (some.length > 0) yield some;
}

/** So many numbers go into one record. */
const NUMBERS = 1000;

/** A system event for each automation: who did it, when and why. */
async function recorded(
  letters: DeadLetters,
  state: "replayed" | "dropped",
  which: readonly Letter[],
  note: string | undefined,
): Promise<void> {
  const { by, at } = asker();
  const owners = new Set(which.map(({ automation, source }) => automation ?? `_source.${source}`));
  for (const automation of owners) {
    const own = which.filter((letter) => (letter.automation ?? `_source.${letter.source}`) === automation);
    for (let from = 0; from < own.length; from += NUMBERS) {
      const some = own.slice(from, from + NUMBERS);
      const [first] = some;
      const source = first?.source ?? sourceOfStream(first?.event?.stream ?? "") ?? "_system";
      const ids = some.map(({ id }) => id);
      await letters.tell(
        deadEvent(`${automation}.${at}.${ids[0]}`, {
          source,
          automation,
          state,
          count: some.length,
          letters: ids,
          by,
          ...(note === undefined ? {} : { note }),
        }),
      );
    }
  }
}

async function agreed(
  groups: readonly LetterGroup[],
  { target = "", yes, to, signal, print }: SettleDeadOptions & { readonly to: string },
): Promise<void> {
  if (groups.length === 0 && /^\d+$/.test(target)) unknownLetter(target);
  if (groups.length === 0) return;
  if (!yes) for (const line of groupLines(groups, paint(process.stdout))) await print(line);
  if (await confirm({ word: target, to, yes, signal })) return;
  throw new ConfigError("DEAD_UNCONFIRMED", "nothing was done to the dead letters", { hint: "Add --yes to do it." });
}

interface Opened {
  readonly letters: DeadLetters;
  readonly automations: readonly Automation[];
  /** Those that the options name. */
  readonly meant: () => AsyncGenerator<Letter>;
}

async function opened({ config, signal, ...which }: DeadOptions): Promise<Opened> {
  const file = await readConfig(config, true);
  const { automations = [] } = file as { readonly automations?: readonly Automation[] };
  const { access, replicas } = resolveBusConfig(file);
  const filter = filterOf(which);
  const letters = await openDeadLetterCommands({ ...access.reveal(), replicas, signal });
  const { target = "" } = which;
  async function* meant(): AsyncGenerator<Letter> {
    if (/^\d+$/.test(target)) {
      const one = await letters.one(Number(target));
      if (one !== undefined) yield one;
      return;
    }
    let some = false;
    for await (const letter of letters.read(filter)) {
      some = true;
      yield letter;
    }
    // Of an id that nobody knows there is nothing to say but that.
    if (!some && filter.of !== undefined && !filter.of.startsWith("_source.")) namedAutomation(automations, filter.of);
  }
  return { letters, automations, meant };
}

/** @throws ConfigError CLI_USAGE */
function filterOf({ target, reason, fingerprint, since }: Omit<DeadOptions, keyof CommandOptions>): LetterFilter {
  if (target !== undefined && !/^(\d+|[a-z][a-z0-9-]*|_source\.[a-z][a-z0-9_]*)$/.test(target)) {
    throw new ConfigError("CLI_USAGE", `${target} is neither an automation's id nor the number of a letter`, {
      hint: "write an id, _source.shop for the rows of a source shop, or a number that `millrace dead list --json` shows as id",
    });
  }
  const time = since === undefined ? undefined : new Date(since);
  if (time !== undefined && Number.isNaN(time.getTime())) {
    throw new ConfigError("CLI_USAGE", `--since ${since} is no time`, { hint: "write one like 2026-01-31T12:00:00Z" });
  }
  return { of: target, reason, fingerprint, since: time };
}

function unknownLetter(id: string): never {
  throw new ConfigError("DEAD_UNKNOWN", `there is no dead letter ${id}`, {
    hint: "see the numbers by millrace dead list --json; one that was replayed or dropped is gone",
  });
}

/** As `--json` has it. */
function reportOf(letter: Letter) {
  const { body: _, row, event, ...rest } = letter;
  return {
    ...rest,
    stream: event?.stream ?? null,
    sequence: event?.sequence ?? null,
    eventId: headerOf(letter, "ce-id") ?? row?.id ?? null,
    subject: event?.subject ?? null,
    headers: event?.headers ?? null,
    ...(row === null ? {} : { row }),
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** `data` where it is text, else `base64`; neither where the body did not come along. */
function bodyOf({ body }: Letter): { readonly data?: string; readonly base64?: string } {
  if (body === undefined) return {};
  try {
    return { data: utf8.decode(body) };
  } catch {
    return { base64: Buffer.from(body).toString("base64") };
  }
}
