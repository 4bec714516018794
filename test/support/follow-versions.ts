// Walks over a source's messages and holds each event against the version that was announced for its table last.

import type { SourceMessage } from "../../src/source/source.ts";
import { bodyText, headers } from "./decode-frames.ts";

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
  /** `<namespace>.<collection>` */
  readonly collection: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** What stands between the table's event before and this one. */
  readonly announced: AnnouncedVersion | undefined;
}

/** @throws Error when an event is not of the version that was announced last, or its version was announced more than once */
export function followVersions(messages: readonly SourceMessage[]): readonly FollowedEvent[] {
  const newest = new Map<string, AnnouncedVersion>();
  const waiting = new Map<string, AnnouncedVersion>();
  const events: FollowedEvent[] = [];
  for (const message of messages) {
    if (message.type !== "message") continue;
    const announced = announcementOf(message);
    if (announced !== undefined) {
      const name = `${announced.namespace}.${announced.collection}`;
      if (waiting.has(name)) throw new Error(`${name} was announced twice without an event between`);
      if (newest.get(name)?.version === announced.version) throw new Error(`${name} was announced again as it was`);
      newest.set(name, announced);
      waiting.set(name, announced);
      continue;
    }
    const [kind, , namespace = "", table = ""] = message.subject.split(".");
    if (kind !== "cdc") continue;
    const collection = `${namespace}.${table}`;
    const version = newest.get(collection);
    const head = headers(message);
    if (head["ce-dataschema"] !== `kv:millrace_schemas/${version?.version}`)
      throw new Error(
        `an event of ${collection} points to ${head["ce-dataschema"]}, announced was ${version?.version}`,
      );
    const body = JSON.parse(bodyText(message)) as FollowedEvent["body"];
    const wrong = Object.keys((body.after ?? {}) as object).filter(
      (column) => version?.columns.some(({ name }) => name === column) !== true,
    );
    if (wrong.length > 0) throw new Error(`${collection} has no column ${wrong.join(", ")} in its version`);
    const told = waiting.get(collection);
    if (told !== undefined && head["ce-id"]?.slice(0, -8) !== announcedPlace.get(told))
      throw new Error(`${collection} was not announced directly before its event`);
    waiting.delete(collection);
    events.push({ collection, body, announced: told });
  }
  return events;
}

/** `<source>.<history>.<final>.<change>` of an announcement's id. */
const announcedPlace = new WeakMap<AnnouncedVersion, string | undefined>();

/** The body of an announcement; undefined for anything else. */
export function announcementOf(message: SourceMessage): AnnouncedVersion | undefined {
  if (message.type !== "message" || !message.subject.endsWith(".schema") || !message.subject.startsWith("meta."))
    return undefined;
  const announced = JSON.parse(bodyText(message)) as AnnouncedVersion;
  announcedPlace.set(announced, headers(message)["ce-id"]?.slice(0, -8));
  return announced;
}
