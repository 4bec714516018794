// Dead letters for a person: what is alike in one line, and one letter whole.

import { headerOf, type Letter } from "../../bus/jetstream/commands/letter.ts";
import { type Paint, printable, row, wrap } from "./terminal.ts";

/** Letters of one automation, reason and fingerprint. */
export interface LetterGroup {
  /** Null for a source's rows. */
  readonly automation: string | null;
  readonly owner: string;
  readonly reason: string;
  readonly fingerprint: string;
  readonly count: number;
  readonly firstAt: string;
  readonly lastAt: string;
  /** The newest one. */
  readonly newest: Omit<Letter, "body">;
}

/** Those with the newest letters last. */
export async function groupLetters(letters: AsyncIterable<Letter>): Promise<readonly LetterGroup[]> {
  const groups = new Map<string, LetterGroup>();
  for await (const { body: _, ...letter } of letters) {
    const { automation, reason, fingerprint, at } = letter;
    const owner = automation ?? `_source.${letter.source}`;
    const key = JSON.stringify([owner, reason, fingerprint]);
    const known = groups.get(key);
    groups.delete(key); // it moves to the end
    groups.set(key, {
      automation,
      owner,
      reason,
      fingerprint,
      count: (known?.count ?? 0) + 1,
      firstAt: known?.firstAt ?? at,
      lastAt: at,
      newest: letter,
    });
  }
  return [...groups.values()];
}

const WIDTHS: readonly number[] = [36, 12, 7, 13, 21];

/** Within 100 columns. */
export function groupLines(groups: readonly LetterGroup[], colour: Paint): readonly string[] {
  if (groups.length === 0) return ["there is no dead letter"];
  const heads = ["AUTOMATION", "REASON", "LETTERS", "FINGERPRINT", "NEWEST"];
  return [
    colour("dim", row(WIDTHS, heads)),
    ...groups.flatMap(({ owner, reason, count, fingerprint, lastAt, newest }) => [
      row(WIDTHS, [owner, reason, count, fingerprint, lastAt.replace(/\.\d+Z$/, "Z")]),
      ...wrap(printable(`#${newest.id}: ${errorText(newest.error)}`), 94)
        .slice(0, 3)
        .map((text) => `    ${text}`),
    ]),
  ];
}

/** All that it has. */
export function letterLines(letter: Letter): readonly string[] {
  const { id, automation, source, reason, attempts, firstAt, at, fingerprint, error, event, row: line, body } = letter;
  const frames = Array.isArray(error.at) ? error.at.map((frame) => `    at ${String(frame)}`) : [];
  const base = event === null ? [] : [`event        ${headerOf(letter, "ce-id") ?? "-"}`];
  return [
    `letter       ${id}`,
    automation === null ? `source       ${source}` : `automation   ${automation}`,
    `reason       ${reason}`,
    `attempts     ${attempts}${firstAt === null ? "" : `, the first at ${firstAt}`}`,
    `stored       ${at}`,
    `fingerprint  ${fingerprint}`,
    `error        ${errorText(error)}`,
    ...frames,
    ...base,
    ...(event === null ? [] : [`stands at    ${event.stream} #${event.sequence}`, `subject      ${event.subject}`]),
    ...Object.entries(event?.headers ?? line ?? {}).map(([name, value]) => `  ${name}: ${value}`),
    bodyText(body, event?.dataBytes ?? 0),
  ];
}

function errorText({ name, code, message }: Letter["error"]): string {
  const texts = [name, code, message].filter((text) => typeof text === "string" && text !== "");
  return texts.length === 0 ? "-" : texts.join(": ");
}

function bodyText(body: Uint8Array | undefined, bytes: number): string {
  if (body === undefined && bytes > 0) return `(its body of ${bytes} bytes did not come along: see where it stands)`;
  return Buffer.from(body ?? []).toString("utf8");
}
