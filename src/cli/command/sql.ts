// `millrace sql`: prints what an administrator runs, SQL or text for mongosh, and changes nothing.

import { connectors } from "../../connectors.ts";
import { redact } from "../../telemetry/redact.ts";
import { capableSources } from "../common/capable-sources.ts";
import { loadConfig } from "../common/load-config.ts";
import { printable } from "../common/terminal.ts";

export type SqlSubject = "role" | "publication" | "outbox" | "inbox" | "event-triggers";

export interface SqlOptions {
  readonly what: SqlSubject;
  readonly config?: string | undefined;
  /** Undefined means all. */
  readonly source?: string | undefined;
  readonly print: (line: string) => Promise<void>;
}

/** @throws ConfigError CAPABILITY_MISSING and others, TransientError */
export async function sql({ what, config: file, source, print }: SqlOptions): Promise<void> {
  const kinds = [...connectors.values()].flatMap(({ setupText }) => setupText?.subjects[what] ?? []);
  // What says nothing of any source needs no configuration.
  const perSource = kinds.some(({ lines }) => lines !== undefined);
  const sources = perSource
    ? capableSources(
        await loadConfig(file),
        source,
        "setupText",
        ({ setupText }) => setupText.subjects[what] !== undefined,
      )
    : [];
  const named = new Set(sources.map(({ connector }) => connector.setupText.subjects[what]));
  const subjects = named.size > 0 ? named : kinds;
  for (const subject of subjects) for (const line of subject?.common?.() ?? []) await print(line);
  for (const { id, config, connector } of sources) {
    const subject = connector.setupText.subjects[what];
    if (subject?.lines === undefined) continue;
    const { comment, place } = connector.setupText;
    await print(`${comment} source ${id}: for ${subject.runBy}, ${place}`);
    for (const line of await subject.lines(id, config)) await print(printable(redact(line)));
  }
}
