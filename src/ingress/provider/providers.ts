// The table of providers: what each is verified by, what it sends, what is an event of it.

import { grantOrigin } from "./read/abuse-protection.ts";
import { readAlerts } from "./read/alerts.ts";
import { isCloudEventsMedia, readCloudEvents } from "./read/cloudevents.ts";
import { type Headers, type OneEvent, readOneEvent } from "./read/one-event.ts";
import { readSlack } from "./read/slack.ts";
import type { Answer, IncomingRequest, ProviderName, ReceiverSection, Verdict } from "./receiver.ts";
import { isJsonMedia } from "./request.ts";
import {
  githubScheme,
  grafanaScheme,
  hmacScheme,
  pagerdutyScheme,
  shopifyScheme,
  slackScheme,
  standardNames,
  standardScheme,
  stripeScheme,
} from "./verify/schemes.ts";
import type { Scheme } from "./verify/signature.ts";

export interface Provider {
  /** How its requests are signed; absent: it sends a token or a password. */
  readonly scheme?: (section: ReceiverSection) => Scheme;
  /** The token may stand in the query. */
  readonly tokenInQuery?: true;
  /** Content types that it may send: `application/json` in lower case, without parameters. */
  readonly media: (media: string) => boolean;
  /** Its own headers: names in lower case. */
  readonly own?: (name: string, section: ReceiverSection, request: IncomingRequest) => boolean;
  /** It sends again what got a 5xx, and not what got a 429. */
  readonly retriesOnly5xx?: true;
  readonly maxBytes?: number;
  readonly preflight?: (section: ReceiverSection, request: IncomingRequest) => Answer;
  /** What the events of a verified request are. */
  readonly read: (request: IncomingRequest, headers: Headers, section: ReceiverSection) => Verdict;
}

const MIB = 2 ** 20;
const FORM = "application/x-www-form-urlencoded";

/** A JSON object each. */
const object = { json: true, object: true } as const;
const read =
  (how: OneEvent): Provider["read"] =>
  (request, headers) =>
    readOneEvent(how, request, headers);
const jsonOrForm = (media: string): boolean => isJsonMedia(media) || media === FORM;
const named = (prefix: string) => (name: string) => name.startsWith(prefix);

/** What can be told of a sender that nobody knows: by the options of its section. */
const anybody = {
  media: () => true,
  own: (name, { id, type, timestamp }) =>
    [id, type, timestamp].some((place) => place && "header" in place && place.header.toLowerCase() === name),
  read: (request, headers, { id, type }) => readOneEvent({ id, type }, request, headers),
} satisfies Partial<Provider>;

export const providers: Readonly<Record<ProviderName, Provider>> = {
  stripe: {
    scheme: stripeScheme,
    media: isJsonMedia,
    read: read({ ...object, id: { pointer: "/id" }, type: { pointer: "/type" } }),
  },
  github: {
    scheme: githubScheme,
    media: jsonOrForm,
    own: named("x-github-"),
    maxBytes: 25 * MIB,
    read: read({ ...object, id: { header: "x-github-delivery" }, type: { header: "x-github-event" } }),
  },
  slack: {
    scheme: slackScheme,
    media: jsonOrForm,
    own: named("x-slack-"),
    read: readSlack,
  },
  pagerduty: {
    scheme: pagerdutyScheme,
    media: isJsonMedia,
    own: named("x-webhook-"),
    read: read({ ...object, id: { pointer: "/event/id" }, type: { pointer: "/event/event_type" } }),
  },
  alertmanager: {
    media: isJsonMedia,
    retriesOnly5xx: true,
    read: readAlerts,
  },
  grafana: {
    scheme: grafanaScheme,
    media: isJsonMedia,
    own: named("x-grafana-"),
    read: readAlerts,
  },
  datadog: {
    media: jsonOrForm,
    retriesOnly5xx: true,
    read: read({ ...object, form: true, id: { pointer: "/id" }, type: { pointer: "/event_type" } }),
  },
  shopify: {
    scheme: shopifyScheme,
    media: (media) => isJsonMedia(media) || media === "application/xml" || media === "text/xml",
    own: named("x-shopify-"),
    read: read({ ...object, id: { header: "x-shopify-webhook-id" }, type: { header: "x-shopify-topic" } }),
  },
  standard: {
    scheme: standardScheme,
    media: isJsonMedia,
    own: (name, _, request) => name.startsWith(`${standardNames(request)}-`),
    // An object alone: of a bare number, a part could be moved between the id, the time and the body, which are joined by dots.
    read: (request, headers) => {
      const id = { header: `${standardNames(request)}-id` };
      return readOneEvent({ ...object, id, type: { pointer: "/type" } }, request, headers);
    },
  },
  cloudevents: {
    tokenInQuery: true,
    media: isCloudEventsMedia,
    own: (name) => name.startsWith("ce-") || name.startsWith("aeg-"),
    preflight: grantOrigin,
    read: readCloudEvents,
  },
  hmac: {
    scheme: hmacScheme,
    ...anybody,
  },
  bearer: { ...anybody },
  basic: { ...anybody },
};
