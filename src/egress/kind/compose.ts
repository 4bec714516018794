// What each kind of endpoint is asked over HTTP: pure functions from a message to a request.

import { Fatal } from "../../automation/outcome/outcome.ts";
import type { EndpointOf } from "../../config/endpoints-schema.ts";
import { pointerParts, valueAt } from "../../event/json-pointer.ts";
import { version } from "../../version.ts";
import type { HttpRequest } from "../send/exchange.ts";
import { signedHeaders } from "../send/sign.ts";
import type { About } from "./carrier.ts";

/** Larger ones are no messages; most receivers refuse far less. */
export const MAX_BODY_BYTES: number = 1024 * 1024;

const AGENT = { "user-agent": `Millrace/${version}`, "content-type": "application/json" };

type Json = Readonly<Record<string, unknown>>;

/** @throws Fatal where it is no JSON, or too large */
export function bodyOf(message: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(message);
  } catch {
    throw new Fatal("the message is no JSON: it holds a bigint, or itself");
  }
  if (text === undefined) throw new Fatal("there is no message: the function given to send() returned nothing");
  if (Buffer.byteLength(text) <= MAX_BODY_BYTES) return text;
  throw new Fatal(`the message has ${Buffer.byteLength(text)} bytes, and may have ${MAX_BODY_BYTES}`);
}

/** @throws Fatal */
function objectOf(message: unknown, what: string): Json {
  if (typeof message === "object" && message !== null && !Array.isArray(message)) return message as Json;
  throw new Fatal(`the message is no object: an endpoint of this kind takes ${what}`);
}

function bearerOf(bearer: string | undefined): Readonly<Record<string, string>> {
  return bearer === undefined ? {} : { authorization: `Bearer ${bearer}` };
}

/** `{ type, timestamp, data }`, signed. */
export function webhookRequest(
  { url, headers, bearer, secret = [] }: EndpointOf<"webhook">,
  message: unknown,
  { id, time, at }: About,
): HttpRequest {
  const given = objectOf(message, "{ type, data }");
  const stamped = "timestamp" in given || time === undefined ? given : { ...given, timestamp: time };
  const body = bodyOf(stamped);
  const signed = signedHeaders(secret, { id, at: Math.floor(at / 1000), body });
  return { url, headers: { ...AGENT, ...headers, ...bearerOf(bearer), ...signed }, body };
}

/** A text, or what Slack takes: `{ text, blocks }`. */
export function slackRequest({ url }: EndpointOf<"slack">, message: unknown): HttpRequest {
  const body = typeof message === "string" ? { text: message } : objectOf(message, "a text, or { text, blocks }");
  return { url, headers: AGENT, body: bodyOf(body) };
}

/** `{ type, data }`: `event_type` and `client_payload` of a repository_dispatch, `inputs` of a workflow_dispatch. */
export function githubRequest(
  { url, repository, token, workflow, ref }: EndpointOf<"github">,
  message: unknown,
): HttpRequest {
  const { type, data } = objectOf(message, "{ type, data }");
  const api = `${url.replace(/\/$/, "")}/repos/${repository}`;
  const headers = {
    ...AGENT,
    ...{ accept: "application/vnd.github+json", "x-github-api-version": "2022-11-28" },
    ...bearerOf(token),
  };
  if (workflow === undefined) {
    if (typeof type !== "string" || type === "" || type.length > 100)
      throw new Fatal("GitHub takes a type of 1 to 100 characters");
    return { url: `${api}/dispatches`, headers, body: bodyOf({ event_type: type, client_payload: data ?? {} }) };
  }
  const inputs = Object.entries(objectOf(data ?? {}, "inputs as data")).map(([name, value]) => [
    name,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  const body = bodyOf({ ref, inputs: Object.fromEntries(inputs) });
  return { url: `${api}/actions/workflows/${workflow}/dispatches`, headers, body };
}

const SEVERITIES: readonly unknown[] = ["critical", "error", "warning", "info"];

/** `{ summary, severity?, source?, action?, key?, details? }`; without a key each event is an incident of its own. */
export function pagerdutyRequest(
  { url, routingKey }: EndpointOf<"pagerduty">,
  message: unknown,
  { id, time, type }: About,
): HttpRequest {
  const given = objectOf(message, "{ summary, severity }");
  const { summary, severity = "error", source = "millrace", action = "trigger", key = id, details } = given;
  const event = { routing_key: routingKey, event_action: action, dedup_key: key };
  if (action !== "trigger") return { url, headers: AGENT, body: bodyOf(event) };
  if (typeof summary !== "string" || summary === "") throw new Fatal("PagerDuty takes a summary");
  if (!SEVERITIES.includes(severity)) throw new Fatal(`PagerDuty takes a severity of ${SEVERITIES.join(", ")}`);
  const payload = {
    ...{ summary: summary.slice(0, 1024), severity, source, timestamp: time, class: type },
    ...(details !== undefined && { custom_details: details }),
  };
  return { url, headers: AGENT, body: bodyOf({ ...event, payload }) };
}

/** What the desk takes, as it is. Where the desk honours it, a ticket that is asked for twice is one. */
export function itsmRequest(
  { url, headers, bearer }: EndpointOf<"itsm">,
  message: unknown,
  { id }: About,
): HttpRequest {
  const body = bodyOf(objectOf(message, "the ticket's fields"));
  return { url, headers: { ...AGENT, ...headers, ...bearerOf(bearer), "idempotency-key": id }, body };
}

/** What stands at a JSON pointer of an answer, as text; undefined where there is no text or number. */
export function textAt(answer: string, pointer: string): string | undefined {
  let value: unknown;
  try {
    value = valueAt(JSON.parse(answer), pointerParts(pointer));
  } catch {
    return undefined;
  }
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}
