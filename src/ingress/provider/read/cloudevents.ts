// CloudEvents 1.0 over HTTP: structured, binary and in batches; beside them the events of EventBridge, and Event Grid's own schema.

import { elementsOf, isObject, type Span, stringAt } from "../json-text.ts";
import type { Arrived, IncomingRequest, Verdict } from "../receiver.ts";
import { contentOf, mediaOf, onlyHeader, refused } from "../request.ts";
import { readEventGrid } from "./event-grid.ts";
import { eventsOrNone } from "./events-or-none.ts";
import { bodyOf, type Headers } from "./one-event.ts";
import { sourceAndId } from "./source-and-id.ts";

const BATCH = "application/cloudevents-batch+json";
const STRUCTURED = "application/cloudevents+json";

/** Formats of CloudEvents other than JSON (XML, Avro, Protobuf) are not read; in the binary mode a body is of any kind. */
export function isCloudEventsMedia(media: string): boolean {
  return !media.startsWith("application/cloudevents") || media === BATCH || media === STRUCTURED;
}

export function readCloudEvents(request: IncomingRequest, headers: Headers): Verdict {
  const media = mediaOf(onlyHeader(request, "content-type"));
  const plain = media !== BATCH && media !== STRUCTURED;
  if (plain && request.headers.has("ce-specversion")) return readBinary(request, headers);
  const content = contentOf(request, { json: true });
  if ("kind" in content) return content;
  const { json } = content;
  if (json === undefined) return refused(415, "media");
  const { body } = request;
  const elements = media === STRUCTURED ? undefined : elementsOf(body, json);
  if (elements === undefined) {
    const event = media === BATCH ? undefined : cloudEvent(body, json, headers, plain);
    return event ? { kind: "events", events: [event] } : refused(400, "event");
  }
  if (plain) return readEventGrid(body, elements, headers);
  const events = elements.flatMap((element) => cloudEvent(body, element, headers, false) ?? []);
  return events.length === elements.length ? eventsOrNone(events) : refused(400, "event");
}

/** Attributes stand in `ce-` headers, where what is no letter of a URI is percent-encoded. */
function readBinary(request: IncomingRequest, headers: Headers): Verdict {
  const [version, id, source, type] = ["specversion", "id", "source", "type"].map((name) =>
    percentDecoded(onlyHeader(request, `ce-${name}`)),
  );
  if (version !== "1.0" || !id || !source || !type) return refused(400, "event");
  const content = contentOf(request, {});
  if ("kind" in content) return content;
  const event = { id: sourceAndId(source, id), type, ...bodyOf(request, content.json), headers };
  return { kind: "events", events: [event] };
}

/** A structured event, or where `bridge` allows it one of EventBridge's; undefined where an attribute is missing. */
function cloudEvent(body: Buffer, value: Span, headers: Headers, bridge: boolean): Arrived | undefined {
  if (!isObject(body, value)) return undefined;
  const at = (name: string): string | undefined => stringAt(body, value, `/${name}`);
  const version = at("specversion");
  const type = version === "1.0" ? at("type") : bridge && version === undefined ? at("detail-type") : undefined;
  const [id, source] = [at("id"), at("source")];
  if (!id || !source || !type) return undefined;
  const json = body.subarray(value.from, value.to);
  return { id: sourceAndId(source, id), type, json, raw: undefined, headers };
}

/** As the HTTP binding has it; text that is not so encoded is taken as it stands. */
function percentDecoded(value: string | undefined): string | undefined {
  try {
    return value === undefined ? undefined : decodeURIComponent(value);
  } catch {
    return value;
  }
}
