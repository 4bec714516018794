// Walks over a source's messages and holds each event against the version that was announced for its table last.

import type { EncodedMessage } from "../bus/encoded.ts";
import type { StreamEvent } from "../bus/stream-events.ts";
import { bodyText, headers } from "../postgres/decode-frames.ts";

/** The body of a `meta.<source>.schema` message. */
export interface AnnouncedVersion {
  readonly version: string;
  readonly id: string;
  readonly namespace: string;
  readonly collection: string;
  readonly previous: string | null;
  readonly changes: unknown;
  readonly columns: readonly { readonly name: string }[];
}

export interface FollowedEvent {
  /** `<namespace>.<collection>`, as the subject has it. */
  readonly collection: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** What stands between the table's event before and this one. */
  readonly announced: AnnouncedVersion | undefined;
}

type Followed = Pick<StreamEvent, "subject" | "header" | "text">;

/** What a source alone handed out, as a stream would hold it. */
export function asStored(messages: readonly EncodedMessage[]): readonly Followed[] {
  return messages.flatMap((message) => {
    if (message.type !== "message") return [];
    const lines = headers(message);
    return [{ subject: message.subject, header: (name) => lines[name], text: bodyText(message) }];
  });
}

/**
 * @throws Error when an event is not of the version that was announced last, or has columns that it has not; when a version
 *   was announced again, or not directly before its event
 */
export function followVersions(messages: readonly Followed[]): readonly FollowedEvent[] {
  const newest = new Map<string, AnnouncedVersion>();
  const waiting = new Map<string, { readonly version: AnnouncedVersion; readonly place: string | undefined }>();
  const events: FollowedEvent[] = [];
  for (const { subject, header, text } of messages) {
    const [kind, , namespace = "", table = ""] = subject.split(".");
    if (kind === "meta" && namespace === "schema") {
      const version = JSON.parse(text) as AnnouncedVersion;
      const before = newest.get(version.id);
      if (waiting.has(version.id))
        throw new Error(`${version.version} was announced, and another one before its event`);
      if (before?.version === version.version) throw new Error(`${version.version} was announced again`);
      if ((version.previous ?? before?.version) !== before?.version)
        throw new Error(`${version.version} follows ${before?.version}, not ${version.previous}`);
      newest.set(version.id, version);
      waiting.set(version.id, { version, place: header("ce-id")?.slice(0, -8) });
    }
    if (kind !== "cdc") continue;
    const collection = `${namespace}.${table}`;
    const pointed = header("ce-dataschema");
    const version = [...newest.values()].find((one) => pointed === `kv:millrace_schemas/${one.version}`);
    if (version === undefined)
      throw new Error(`an event of ${collection} points to ${pointed}, which is not the newest`);
    const body = JSON.parse(text) as FollowedEvent["body"];
    const columns = new Set(version.columns.map(({ name }) => name));
    const wrong = [body.after, body.before, body.key].flatMap((row) =>
      Object.keys((row ?? {}) as object).filter((column) => !columns.has(column)),
    );
    if (wrong.length > 0) throw new Error(`${collection} has no column ${wrong.join(", ")} in ${version.version}`);
    const told = waiting.get(version.id);
    if (told !== undefined && header("ce-id")?.slice(0, -8) !== told.place)
      throw new Error(`${version.version} was not announced directly before its event`);
    waiting.delete(version.id);
    events.push({ collection, body, announced: told?.version });
  }
  return events;
}
