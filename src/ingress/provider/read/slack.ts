// Slack: events as JSON, interactions and slash commands as forms.

import { readJson, stringAt } from "../json-text.ts";
import type { IncomingRequest, Verdict } from "../receiver.ts";
import { contentOf } from "../request.ts";
import { bodyOf, formOf, type Headers, NO_TYPE } from "./one-event.ts";

export function readSlack(request: IncomingRequest, headers: Headers): Verdict {
  const content = contentOf(request, { json: true, object: true });
  if ("kind" in content) return content;
  const { json } = content;
  const { body } = request;
  const outer = json && stringAt(body, json, "/type");
  const challenge = json && outer === "url_verification" ? stringAt(body, json, "/challenge") : undefined;
  if (challenge !== undefined) {
    // As text, and never as what a browser would take for a page.
    const safe = { "x-content-type-options": "nosniff" };
    return { kind: "answer", status: 200, headers: safe, contentType: "text/plain; charset=utf-8", body: challenge };
  }
  const id = json && stringAt(body, json, "/event_id");
  const type = (json ? (stringAt(body, json, "/event/type") ?? outer) : interactionType(request)) ?? NO_TYPE;
  return { kind: "events", events: [{ id, type, ...bodyOf(request, json), headers }] };
}

/** An interaction is JSON in a field of a form; a slash command has no such field, and no type. */
function interactionType(request: IncomingRequest): string | undefined {
  const payload = Buffer.from(formOf(request)?.get("payload") ?? "");
  const json = readJson(payload);
  return typeof json === "string" ? undefined : stringAt(payload, json, "/type");
}
