// The sections of what is received over HTTP: `ingress`, where it is listened; `webhooks`, from whom; `events`, typed POSTs.

import { z } from "zod";
import { isSourceId } from "../event/source-id.ts";
import { standardKeyText } from "../event/standard-key.ts";
import { durationSchema } from "./duration-schema.ts";

const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** So many requests in so many ms. */
const rateSchema = z
  .strictObject({
    limit: z.int().min(1).max(1_000_000).describe("How many requests."),
    per: durationSchema.describe('In which time: a duration like "1s".'),
  })
  .transform(({ limit, per }) => ({ limit, perMs: per }));

export const ingressSchema = z.strictObject({
  host: z
    .string()
    .min(1)
    .default("127.0.0.1")
    .describe("The address to listen on for webhooks and typed POSTs; it is opened only where something is received."),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(8080)
    .describe("The port for webhooks and typed POSTs, another one than `http.port`; 0 for any free one."),
  addressRate: rateSchema
    .prefault({ limit: 1000, per: "1s" })
    .describe(
      "How many requests one address may send, counted before anything of them is looked at; above it they get 429, of alertmanager and datadog 503. Behind a proxy all of them come from its address.",
    ),
});

const text = z.string().min(1, { error: "expected a text that is not empty" });

/** One, or several while they are rotated: each of them is right. */
const secretsSchema = z
  .union([text, z.array(text).min(1, { error: "expected at least one secret" }).max(10)])
  .transform((given): readonly string[] => (typeof given === "string" ? [given] : given));

const secret = secretsSchema.describe(
  "What the sender signs with, from the environment alone: `env(…)`, or a list of them while it is rotated.",
);
const bearer = secretsSchema.describe(
  "The token that the sender sends as `Authorization: Bearer …`, from the environment alone; a list while it is rotated.",
);

/** A header by its name, compared without regard to case. */
const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/, { error: "expected the name of a header" })
  .transform((name) => name.toLowerCase());

const pointer = z
  .string()
  .regex(/^(\/([^~/]|~[01])*)+$/, { error: 'expected a JSON pointer into the body, like "/event/id"' });

/** Where in a request something stands. */
const placeSchema = z
  .union(
    [
      z.strictObject({ header: headerName.describe("A header's name; or instead `pointer`, a JSON pointer.") }),
      z.strictObject({ pointer }),
    ],
    {
      error: 'expected { header: "x-name" } or { pointer: "/path" }',
    },
  )
  .optional();

const id = placeSchema.describe(
  "Where the sender's id of a delivery stands: `{ header }` or `{ pointer }` into the JSON body. Without it equal bodies within three days are one event.",
);
const type = placeSchema.describe(
  "Where the event's type stands: `{ header }` or `{ pointer }` into the JSON body. Without it the type is `_`.",
);

const timestampSchema = z.strictObject({
  header: headerName.describe("The header with the time of sending, in Unix seconds."),
  toleranceSeconds: z.int().min(1).max(86_400).default(300).describe("How far from now that time may be, in seconds."),
});

const common = {
  maxBytes: z
    .int()
    .min(1)
    .max(MAX_BODY_BYTES)
    .optional()
    .describe("The largest body in bytes, above which it is 413. Without it 1 MiB, of GitHub 25 MiB."),
  rate: rateSchema
    .optional()
    .describe(
      "How many verified requests are taken in which time; above it they get 429 with Retry-After, of alertmanager and datadog 503.",
    ),
  replayGuard: z
    .boolean({ error: "expected true or false" })
    .default(false)
    .describe(
      "Take a body that was received within the last three days as a duplicate, whatever its id: for senders whose id is not signed. Off, for equal bodies can be two events.",
    ),
};

/** @param name of a provider that signs, and needs nothing but its secret */
function signed<const Name extends string>(name: Name) {
  return z.strictObject({ provider: z.literal(name), secret, ...common });
}

/** @param name of a provider that sends a token */
function tokened<const Name extends string>(name: Name) {
  return z.strictObject({ provider: z.literal(name), bearer, ...common });
}

/** Of three bytes and more: what decodes to nothing would be a key that everybody has. */
const base64 = /^(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** What signs by Standard Webhooks is base64, with `whsec_` before it. */
const standardSecret = text.refine((given) => base64.test(standardKeyText(given)), {
  error: "expected base64, with or without whsec_ before it",
});

const receiverSchema = z.discriminatedUnion("provider", [
  signed("stripe"),
  signed("github"),
  signed("slack"),
  signed("pagerduty"),
  signed("shopify"),
  z.strictObject({
    provider: z.literal("standard"),
    secret: z
      .union([standardSecret, z.array(standardSecret).min(1).max(10)])
      .transform((given): readonly string[] => (typeof given === "string" ? [given] : given)),
    ...common,
  }),
  z.strictObject({
    provider: z.literal("grafana"),
    secret,
    timestamp: timestampSchema
      .optional()
      .describe(
        "The header with the time of sending, where it is signed: Grafana signs it when it is set to send one.",
      ),
    ...common,
  }),
  tokened("alertmanager"),
  tokened("datadog"),
  tokened("cloudevents"),
  z
    .strictObject({
      provider: z.literal("hmac"),
      secret,
      header: headerName.describe("The header that the signature stands in."),
      algorithm: z.enum(["sha256", "sha384", "sha512", "sha1"]).default("sha256").describe("The hash of the HMAC."),
      encoding: z.enum(["hex", "base64"]).default("hex").describe("How the signature is written."),
      prefix: z.string().max(100).default("").describe('What stands before the signature, like "sha256=".'),
      signed: z
        .string()
        .default("{body}")
        .refine((template) => template.split("{body}").length === 2, { error: "expected a template with one {body}" })
        .refine((template) => template.split("{timestamp}").length <= 2, { error: "expected {timestamp} at most once" })
        .describe('What is signed: a template of `{body}` and `{timestamp}`, like "{timestamp}.{body}".'),
      timestamp: timestampSchema
        .optional()
        .describe(
          "The header with the time of sending. Of hmac it counts as signed where `signed` has {timestamp}: `check` warns of one that is not.",
        ),
      id,
      type,
      ...common,
    })
    .superRefine(({ signed: template, timestamp }, context) => {
      if (template.includes("{timestamp}") && timestamp === undefined)
        context.addIssue({ code: "custom", path: ["timestamp"], message: "is missing: `signed` names it" });
    }),
  z.strictObject({ provider: z.literal("bearer"), bearer, id, type, ...common }),
  z.strictObject({
    provider: z.literal("basic"),
    basic: secretsSchema
      .refine((given) => given.every((pair) => pair.includes(":")), { error: "expected user:password" })
      .describe("`user:password` of the sender, from the environment alone; a list while it is rotated."),
    id,
    type,
    ...common,
  }),
]);

export const webhooksSchema = z.record(
  z.string().refine(isSourceId, {
    error: "a receiver's name is a lower-case letter and up to 30 lower-case letters, digits or _",
  }),
  receiverSchema,
);

/** `<aggregate>.<name>`: tokens of a url that nobody has to escape. */
const postedType = /^[A-Za-z0-9_-]{1,100}(\.[A-Za-z0-9_-]{1,100})+$/;

export const eventsSchema = z
  .strictObject({
    token: secretsSchema
      .optional()
      .describe(
        "What whoever posts sends as `Authorization: Bearer …`, from the environment alone; a list while it is rotated. With it `system.script.completed` and `system.script.failed` may be posted too, as `millrace report --to` does.",
      ),
    types: z
      .record(
        z.string().refine((name) => postedType.test(name), {
          error: 'a type is aggregate and name, of letters, digits, _ and -: "user.signed_in"',
        }),
        z.custom<object>((schema) => typeof schema === "object" || typeof schema === "function", {
          error: "expected a JSON Schema, or a schema of a library that follows Standard Schema",
        }),
      )
      .default({})
      .describe(
        'What may be posted to `/events/<aggregate>.<name>`, by name: a schema of zod, Valibot, ArkType or another library that follows Standard Schema, or a JSON Schema. `event("<aggregate>.<name>")` hears it.',
      ),
  })
  .superRefine(({ token, types }, context) => {
    if (token === undefined && Object.keys(types).length > 0)
      context.addIssue({ code: "custom", path: ["token"], message: "is missing: everybody could post events" });
  });

/** One entry of `webhooks`, with its defaults. */
export type ReceiverSection = z.output<typeof receiverSchema>;
export type IngressSection = z.output<typeof ingressSchema>;
