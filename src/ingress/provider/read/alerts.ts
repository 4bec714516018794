// Alertmanager and Grafana: a request is a group of alerts, and each alert is an event.

import { createHash } from "node:crypto";
import { elementsOf, isObject, type Span, stringAt, valueAt } from "../json-text.ts";
import type { Arrived, IncomingRequest, Verdict } from "../receiver.ts";
import { contentOf, refused } from "../request.ts";
import { eventsOrNone } from "./events-or-none.ts";
import { type Headers, NO_TYPE } from "./one-event.ts";

/**
 * An alert's id is `<fingerprint>.<status>.<startsAt>`: told again while it goes on, it is the same event; resolved, or firing
 * anew, it is another. One without these, as old senders have it, is known by its text.
 */
export function readAlerts(request: IncomingRequest, headers: Headers): Verdict {
  const content = contentOf(request, { json: true, object: true });
  if ("kind" in content) return content;
  const { body } = request;
  const list = content.json && valueAt(body, content.json, "/alerts");
  const alerts = list && elementsOf(body, list);
  if (!alerts?.every((alert) => isObject(body, alert))) return refused(400, "event");
  return eventsOrNone(alerts.map((alert) => alertEvent(body, alert, headers)));
}

function alertEvent(body: Buffer, alert: Span, headers: Headers): Arrived {
  const json = body.subarray(alert.from, alert.to);
  const [fingerprint, status, startsAt] = ["fingerprint", "status", "startsAt"].map((name) =>
    stringAt(body, alert, `/${name}`),
  );
  const named = fingerprint !== undefined && status !== undefined && startsAt !== undefined;
  const id = named ? `${fingerprint}.${status}.${startsAt}` : createHash("sha256").update(json).digest("hex");
  return { id, type: status ?? NO_TYPE, json, raw: undefined, headers };
}
