// The `bus` section: where the servers are, as whom they are spoken to, and what their streams keep.

import { z } from "zod";
import { parseDuration } from "../event/duration.ts";
import type { Retention } from "../event/retention.ts";

/** The scheme may be left out; user and password may hold what no url does. */
const serverUrl = z.string().refine((text) => URL.canParse(`http://${text.replace(/^(\w+:\/\/)?([^@]*@)?/, "")}`), {
  error: "expected the url of a server, like nats://host:4222",
});

/** A stream whose events are gone before a consumer that was away is back serves nobody. */
const SHORTEST_AGE_MS = 60_000;

const retentionSchema = z
  .strictObject({
    age: z
      .string()
      .optional()
      .describe('How long a stream keeps an event: a duration like "30d", or "unlimited". Without it 7 days.'),
    bytes: z
      .int()
      .min(1024 * 1024)
      .optional()
      .describe("How many bytes one stream may hold. Without it 80 % of what the account has free when it is made."),
    discard: z
      .enum(["old", "new"])
      .optional()
      .describe(
        'What goes when a stream is full: "old" (the default) drops the oldest events; "new" takes nothing more, so that the source waits and its database keeps its log (`STREAM_FULL`).',
      ),
  })
  .transform(({ age, bytes, discard }, context): Retention => {
    const ageMs = age === undefined ? undefined : age === "unlimited" ? Number.POSITIVE_INFINITY : parseDuration(age);
    if (age !== undefined && (ageMs === undefined || ageMs < SHORTEST_AGE_MS)) {
      context.addIssue({
        code: "custom",
        path: ["age"],
        message: 'expected "unlimited" or a duration like "30d", from 1m',
      });
      return z.NEVER;
    }
    return { ageMs, bytes, discard };
  });

const text = z.string().min(1, { error: "expected a text that is not empty" });

const credentialsSchema = z
  .strictObject({
    file: text.optional().describe("The path of a `.creds` file (a user's JWT and its seed), as nsc writes it."),
    nkey: text.optional().describe('The seed of a user\'s NKey, from the environment alone: `env("NATS_NKEY")`.'),
    token: text.optional().describe("A token, from the environment alone."),
    user: text.optional().describe("A user's name, with `password`."),
    password: text.optional().describe("That user's password, from the environment alone."),
  })
  .superRefine(({ file, nkey, token, user, password }, context) => {
    const refuse = (message: string): void => context.addIssue({ code: "custom", message });
    const given = [file, nkey, token, user ?? password].filter((value) => value !== undefined).length;
    if (given !== 1) refuse("expected one of file, nkey, token, or user and password");
    else if ((user === undefined) !== (password === undefined)) refuse("expected user and password together");
  });

const tlsSchema = z
  .strictObject({
    ca: text
      .optional()
      .describe("The authority that signed the servers' certificates; without it those that Node trusts."),
    cert: text.optional().describe("The certificate of this client, for servers with `verify: true`."),
    key: text.optional().describe("The key of that certificate."),
  })
  .superRefine(({ cert, key }, context) => {
    if ((cert === undefined) !== (key === undefined))
      context.addIssue({ code: "custom", message: "expected cert and key together" });
  });

export const busSchema = z
  .strictObject({
    servers: z
      .union([serverUrl, z.array(serverUrl).min(1, { error: "expected at least one server" })])
      .default("nats://127.0.0.1:4222")
      .transform((servers) => (typeof servers === "string" ? [servers] : servers))
      .describe("The url of a NATS server, or a list of the urls of one cluster."),
    replicas: z
      .literal([1, 3, 5], { error: "expected 1, 3 or 5" })
      .default(1)
      .describe("How many servers keep a copy of each stream: 1, 3 or 5; 3 in production."),
    fsync: z
      .string()
      .default("2m")
      .transform((text, context): "always" | number => {
        const ms = text === "always" ? undefined : parseDuration(text);
        if (ms !== undefined && ms > 0) return ms;
        if (text !== "always")
          context.addIssue({ code: "custom", message: 'expected "always" or a duration like "2m"' });
        return "always";
      })
      .describe(
        'How the NATS server is set to sync, a statement about its `sync_interval`: "always", or a duration like "2m" (the server\'s own default). A source may drop its log only past twice that duration.',
      ),
    maxEventBytes: z
      .int()
      .min(1024)
      .max(1024 * 1024 * 1024)
      .default(64 * 1024 * 1024)
      .describe(
        "The largest body of an event, in bytes. One above the server's `max_payload` is kept in the object store `millrace_large`, and the event points to it; one above this becomes a dead letter, with a `poison` marker in its place.",
      ),
    retention: retentionSchema
      .prefault({})
      .describe(
        "What a source's stream keeps; for streams that are made from now on. `check` compares those there are.",
      ),
    credentials: credentialsSchema
      .optional()
      .describe("Who the worker is on the servers, where it does not stand in their urls (docs/operations/tls.md)."),
    tls: tlsSchema
      .optional()
      .describe(
        "Paths of PEM files, relative to where the command is run. Being there, even empty, it insists on TLS, as a `tls://` url does; without it TLS is used where a server has it.",
      ),
  })
  .superRefine(({ servers, credentials }, context) => {
    if (credentials !== undefined && servers.some((server) => server.includes("@")))
      context.addIssue({
        code: "custom",
        path: ["credentials"],
        message: "the urls of bus.servers hold credentials too",
      });
  });
