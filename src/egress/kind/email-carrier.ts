// Mails, by SMTP through the guard. Nothing of a message names a file or a url that would be read for it.

import { createRequire } from "node:module";
import type * as Nodemailer from "nodemailer";
import { Fatal } from "../../automation/outcome/outcome.ts";
import type { EndpointOf } from "../../config/endpoints-schema.ts";
import { percentDecoded } from "../../event/percent.ts";
import { bareHost } from "../dial/address.ts";
import { dialTcp } from "../dial/dialer.ts";
import type { Guard } from "../dial/guard.ts";
import type { Carried, Carrier } from "./carrier.ts";
import { MAX_BODY_BYTES } from "./compose.ts";

/** What a message may have. */
const PARTS = ["to", "cc", "bcc", "replyTo", "subject", "text", "html"] as const;

interface SmtpError {
  readonly code?: string;
  readonly responseCode?: number;
  readonly response?: string;
}
type Mail = Partial<Readonly<Record<(typeof PARTS)[number], string | readonly string[]>>>;

export function emailCarrier({ smtp, from, timeout }: EndpointOf<"email">, guard: Guard): Carrier {
  const url = new URL(smtp);
  const secure = url.protocol === "smtps:";
  const port = url.port === "" ? (secure ? 465 : 587) : Number(url.port);
  const [user, pass] = [percentDecoded(url.username), percentDecoded(url.password)];
  const host = bareHost(url.hostname);
  // Only now: a process without an endpoint of this kind starts sooner.
  const { createTransport } = createRequire(import.meta.url)("nodemailer") as typeof Nodemailer;
  return {
    carry: async (message, about, signal): Promise<Carried> => {
      const mail = mailOf(message);
      const transport = createTransport({
        ...{ host, port, secure, disableFileAccess: true, disableUrlAccess: true },
        ...{ connectionTimeout: timeout, greetingTimeout: timeout, socketTimeout: timeout, logger: false },
        // A password goes to nobody in plain text.
        ...(user !== "" && { auth: { user, pass }, requireTLS: true }),
        getSocket: (_: unknown, callback: (error: Error | null, socket?: { connection: unknown }) => void) => {
          dialTcp(guard, host, port, signal).then(
            (connection) => callback(null, { connection }),
            (error: Error) => callback(error),
          );
        },
      } as Parameters<typeof createTransport>[0]);
      try {
        const sent = (await transport.sendMail({
          ...(mail as object),
          ...{ from, messageId: `<${about.id}@millrace>`, disableFileAccess: true, disableUrlAccess: true, signal },
        })) as { readonly response?: string };
        return { status: 250, taken: true, text: sent.response ?? "", retryAfterMs: undefined };
      } catch (thrown) {
        const { code, responseCode, response } = thrown as SmtpError;
        // What it answers to STARTTLS is no answer to the mail.
        if (responseCode === undefined || code === "ETLS") throw thrown;
        return { status: responseCode, taken: false, text: response ?? "", retryAfterMs: undefined };
      } finally {
        transport.close();
      }
    },
    close: () => Promise.resolve(),
  };
}

/** @throws Fatal */
function mailOf(message: unknown): Mail {
  const given = (typeof message === "object" && message !== null ? message : {}) as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((part) => !(PARTS as readonly string[]).includes(part));
  if (unknown !== undefined) throw new Fatal(`a mail has ${PARTS.join(", ")}, and no ${unknown.slice(0, 50)}`);
  const isText = (value: unknown): boolean => typeof value === "string";
  for (const [part, value] of Object.entries(given)) {
    const well = isText(value) || value === undefined || (Array.isArray(value) && value.every(isText));
    if (!well) throw new Fatal(`${part} of a mail is no text`);
  }
  if (!given.to || !given.subject) throw new Fatal("a mail has to and subject");
  if (Buffer.byteLength(JSON.stringify(given)) > MAX_BODY_BYTES) throw new Fatal("the mail is larger than 1 MiB");
  return given as Mail;
}
