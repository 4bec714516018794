// What `check` says of receivers: where they are reached, and what their senders leave unprotected.

import type { ReceiverSection } from "../config/ingress-schema.ts";
import type { ReceivedConfig } from "../config/resolve.ts";
import { about, type Finding } from "../telemetry/finding.ts";

export function ingressFindings({ webhooks, types, ingress: { host, port } }: ReceivedConfig): readonly Finding[] {
  const at = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const receivers = [...webhooks].flatMap(([name, section]) => receiverFindings(name, section.reveal(), at));
  const posted = [...types.keys()].map((type) => about(`event ${type}`).ok("EVENT_TYPE", `POST ${at}/events/${type}`));
  return [...receivers, ...posted];
}

function receiverFindings(name: string, section: ReceiverSection, at: string): readonly Finding[] {
  const { ok, warn } = about(`receiver ${name}`);
  const warnings: Finding[] = [];
  if (section.provider === "hmac" && section.timestamp !== undefined && !section.signed.includes("{timestamp}")) {
    warnings.push(
      warn(
        "WEBHOOK_TIMESTAMP_UNSIGNED",
        `the header ${section.timestamp.header} is not among what is signed: whoever has an old request can send it with a new time`,
        'sign both, and say so: signed: "{timestamp}.{body}"; or set replayGuard: true',
      ),
    );
  }
  const asks = section.provider === "hmac" || section.provider === "bearer" || section.provider === "basic";
  if (asks && section.id === undefined && !section.replayGuard) {
    warnings.push(
      warn(
        "WEBHOOK_WITHOUT_ID",
        "its deliveries have no id: equal bodies within three days are one event",
        "say where the sender's id stands: id: { header: NAME } or { pointer: PATH }",
      ),
    );
  }
  return [ok("RECEIVER", `${section.provider}, POST ${at}/in/${name}`), ...warnings];
}
