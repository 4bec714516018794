// The `endpoints` section: what `send()` may reach, by name, and how.

import { z } from "zod";
import type { Duration } from "../event/duration.ts";
import { standardKeyText } from "../event/standard-key.ts";
import { rememberSecret } from "../telemetry/redact.ts";
import { durationSchema } from "./duration-schema.ts";
import type { EnvRef } from "./env.ts";

type Text = string | EnvRef;

interface CommonOptions {
  readonly timeout?: Duration;
  readonly rate?: { readonly limit: number; readonly per: Duration };
  readonly concurrency?: number;
  readonly allowPrivate?: boolean;
  readonly pauseAfter?: Duration;
}

interface HttpOptions extends CommonOptions {
  readonly url: Text;
  readonly bearer?: EnvRef;
  readonly headers?: Readonly<Record<string, Text>>;
}

/** One endpoint, as a configuration has it. */
export type EndpointOptions =
  | (HttpOptions & { readonly kind?: "webhook"; readonly secret?: EnvRef | readonly EnvRef[] })
  | (CommonOptions & { readonly kind: "slack"; readonly url: Text })
  | (CommonOptions & { readonly kind: "email"; readonly smtp: Text; readonly from: string })
  | (CommonOptions & {
      readonly kind: "github";
      readonly repository: string;
      readonly token: EnvRef;
      readonly workflow?: string;
      readonly ref?: string;
      readonly url?: Text;
    })
  | (CommonOptions & { readonly kind: "pagerduty"; readonly routingKey: EnvRef; readonly url?: Text })
  | (HttpOptions & { readonly kind: "itsm"; readonly ticket: string });

/** As Standard Webhooks has it: 24 to 64 bytes. */
const KEY_BYTES: readonly [least: number, most: number] = [24, 64];
/** So many sends are remembered for a rate. */
const MOST_OF_A_RATE = 10_000;

const httpUrl = z.string().transform((text, context): string => {
  const refuse = (message: string): never => {
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  };
  if (!URL.canParse(text)) return refuse("expected a url, like https://crm.example.com/hooks");
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") return refuse("expected a url of http or https");
  if (url.username !== "" || url.password !== "")
    return refuse("expected a url without user and password: write them as `bearer` or `headers`");
  url.hash = "";
  return url.href;
});

const smtpUrl = z.string().refine(
  (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && /^smtps?:$/.test(url.protocol) && url.hostname !== "" && url.search === "";
  },
  { error: "expected a url like smtp://user:password@mail.example.com:587, or smtps://" },
);

/** The bytes of one key. */
const signingKey = z.string().transform((text, context): Buffer => {
  const base64 = standardKeyText(text);
  const key = Buffer.from(base64, "base64");
  const well = /^[A-Za-z0-9+/]+={0,2}$/.test(base64) && key.length >= KEY_BYTES[0] && key.length <= KEY_BYTES[1];
  if (!well) {
    context.addIssue({
      code: "custom",
      message: `expected a key of Standard Webhooks: whsec_ and the base64 of ${KEY_BYTES[0]} to ${KEY_BYTES[1]} bytes`,
    });
    return z.NEVER;
  }
  rememberSecret(base64);
  return key;
});

const common = {
  timeout: durationSchema
    .prefault("10s")
    .describe("How long one request may take, from the look-up of the address to the end of the answer."),
  rate: z
    .strictObject({
      limit: z.int().min(1).max(MOST_OF_A_RATE).describe(`How many, at most ${MOST_OF_A_RATE}.`),
      per: durationSchema.describe('In which time: "1s".'),
    })
    .optional()
    .describe(
      "Never more requests than that in any such time, of each worker. What is above it waits, and spends no attempt.",
    ),
  concurrency: z.int().min(1).max(256).default(10).describe("Requests at once, of each worker."),
  allowPrivate: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe(
      "Whether it may lie at an address that the internet does not reach: private, loopback, link-local, metadata.",
    ),
  pauseAfter: durationSchema
    .prefault("5m")
    .describe(
      "For how long all requests must have failed, five at least, until it is paused: then its events wait, and spend no attempts, and one of them a minute is tried.",
    ),
};

const headerName = z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, { error: "expected the name of a header" });
/** What each request has of its own. */
const OWN =
  /^(content-(type|length)|host|connection|transfer-encoding|webhook-(id|timestamp|signature)|idempotency-key|authorization)$/i;
const SECRET_HEADER = /auth|key|token|secret|cookie|password/i;

const headers = z
  .record(
    headerName.refine((name) => !OWN.test(name), { error: "this header is not for the configuration to set" }),
    z.string().regex(/^[\t\x20-\x7e]*$/, { error: "expected text of one line in ASCII" }),
  )
  .default({})
  .transform((given) => {
    for (const [name, value] of Object.entries(given)) if (SECRET_HEADER.test(name)) rememberSecret(value);
    return given;
  })
  .describe("Headers that each request has, by name.");
const bearer = z.string().optional().describe("What is sent as `Authorization: Bearer`, from the environment alone.");

export const webhookSchema = z.strictObject({
  kind: z.literal("webhook").optional().describe("The default: a POST of JSON."),
  url: httpUrl.describe("Where to: http or https, without user and password."),
  secret: z
    .union([signingKey.transform((key) => [key]), z.array(signingKey).min(1, { error: "expected at least one key" })])
    .optional()
    .describe(
      "The key that signs what is sent, by Standard Webhooks (`whsec_…`), from the environment alone. Of a list each key signs: for the time in which keys are changed. Without it nothing is signed.",
    ),
  bearer,
  headers,
  ...common,
});

export const slackSchema = z.strictObject({
  kind: z.literal("slack").describe("A message to a channel."),
  url: httpUrl
    .transform((url) => {
      rememberSecret(url);
      rememberSecret(new URL(url).pathname);
      return url;
    })
    .describe("The url of an incoming webhook; who has it can post."),
  ...common,
});

export const emailSchema = z.strictObject({
  kind: z.literal("email").describe("A mail."),
  smtp: smtpUrl.describe(
    "The mail server: `smtp://` (STARTTLS, insisted on where there is a password) or `smtps://`, with user and password.",
  ),
  from: z
    .string()
    .regex(/^[^\r\n]*@[^\r\n]+$/, { error: "expected an address" })
    .describe("The address that mails come from."),
  ...common,
});

export const githubSchema = z.strictObject({
  kind: z.literal("github").describe("A `repository_dispatch`, or with `workflow` a `workflow_dispatch`."),
  repository: z
    .string()
    .regex(/^[A-Za-z0-9_.-]+\/[A-Za-z0-9_.-]+$/, { error: "expected owner/name" })
    .describe("`owner/name`."),
  token: z.string().describe("A token that may write its contents, or its actions; from the environment alone."),
  workflow: z
    .string()
    .regex(/^[A-Za-z0-9_.-]+$/, { error: "expected a workflow's file name or number" })
    .optional()
    .describe("The file name of the workflow to start."),
  ref: z.string().default("main").describe("The branch or tag that the workflow runs on."),
  url: httpUrl.prefault("https://api.github.com/").describe("The API, of an enterprise's own server."),
  ...common,
});

export const pagerdutySchema = z.strictObject({
  kind: z.literal("pagerduty").describe("An event of Events API v2."),
  routingKey: z.string().describe("The integration's key, from the environment alone."),
  url: httpUrl.prefault("https://events.pagerduty.com/v2/enqueue").describe("The API."),
  ...common,
});

export const itsmSchema = z.strictObject({
  kind: z.literal("itsm").describe("A ticket: a POST of JSON whose answer names it."),
  url: httpUrl.describe("Where tickets are made."),
  ticket: z
    .string()
    .regex(/^(\/([^~/]|~[01])*)+$/, { error: "expected a JSON pointer, like /result/sys_id" })
    .describe("Where in the answer the ticket's id stands, as a JSON pointer: `/result/sys_id`."),
  bearer,
  headers,
  ...common,
});

const endpointSchema = z.discriminatedUnion(
  "kind",
  [webhookSchema, slackSchema, emailSchema, githubSchema, pagerdutySchema, itsmSchema],
  { error: 'expected the kind "webhook", "slack", "email", "github", "pagerduty" or "itsm"' },
);

/** As a source's. */
const isName = (name: string): boolean => /^[a-z][a-z0-9_]{0,30}$/.test(name);

export const endpointsSchema = z
  .record(
    z.string().refine(isName, {
      error: "an endpoint's name is a lower-case letter and up to 30 lower-case letters, digits or _",
    }),
    endpointSchema,
  )
  .default({})
  .describe("What `send()` reaches, by name: a lower-case letter, then up to 30 lower-case letters, digits or _.");

/** An endpoint with its defaults; it holds secrets. */
export type Endpoint = z.output<typeof endpointSchema>;
export type EndpointOf<Kind extends Endpoint["kind"]> = Extract<Endpoint, { readonly kind?: Kind | undefined }>;

/** The kind of an endpoint, parsed or as it is written; one that says none, or something else than text, counts as a webhook. */
export function endpointKind(endpoint: unknown): string {
  const { kind } = (endpoint ?? {}) as { readonly kind?: unknown };
  return typeof kind === "string" ? kind : "webhook";
}
