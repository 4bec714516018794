// The door `millrace/event`: what a subscriber needs to read events, and nothing that opens a connection.

export type { ChangeBody, ChangeEvent } from "./event/change-event.ts";
export { type DataRef, dataRefOf, LARGE_BUCKET } from "./event/data-ref.ts";
export { canonicalJson, laneOf } from "./event/lane.ts";
export { type DomainEvent, parseDomainEvent } from "./event/parse-domain-event.ts";
export { parseEvent } from "./event/parse-event.ts";
export { isSourceId, type SourceId, streamName } from "./event/source-id.ts";
export { changeSubjectPrefix, escapeToken, type Op, unescapeToken } from "./event/subject.ts";
