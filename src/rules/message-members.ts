// What a rule's message may have and must have, by the kind of the endpoint that it goes to.

import { nearest } from "../config/nearest.ts";
import type { Refuse } from "./template.ts";

interface Members {
  readonly takes: readonly string[];
  /** Of each of these lists at least one. */
  readonly needs?: readonly (readonly string[])[];
}

/** A ticket of `itsm` has whatever fields its desk has. */
const MEMBERS: Readonly<Record<string, Members>> = {
  webhook: { takes: ["type", "timestamp", "data"] },
  github: { takes: ["type", "data"] },
  pagerduty: {
    takes: ["summary", "severity", "source", "action", "key", "details"],
    // What acknowledges or resolves an incident has none.
    needs: [["summary", "action"]],
  },
  email: { takes: ["to", "cc", "bcc", "replyTo", "subject", "text", "html"], needs: [["to"], ["subject"]] },
  slack: {
    takes: [
      ...["text", "blocks", "attachments", "thread_ts", "mrkdwn", "unfurl_links", "unfurl_media", "metadata"],
      ...["response_type", "replace_original", "delete_original"],
      // Of webhooks of the older kind, and of what takes Slack's messages.
      ...["channel", "username", "icon_emoji", "icon_url", "link_names", "parse"],
    ],
    needs: [["text", "blocks", "attachments"]],
  },
};

/** @param names of the message's members @param kind of the endpoint @throws what `refuse` makes */
export function refuseMembers(names: readonly string[], kind: string, refuse: Refuse): void {
  const { takes, needs = [] } = MEMBERS[kind] ?? {};
  if (takes === undefined) return;
  for (const name of names) {
    if (takes.includes(name)) continue;
    const meant = nearest(name, takes);
    const hint = meant === undefined ? `it takes ${takes.join(", ")}` : `did you mean ${JSON.stringify(meant)}?`;
    throw refuse(["do", name], `${name}: an endpoint of kind ${kind} takes no such member`, hint);
  }
  for (const list of needs) {
    if (list.some((name) => names.includes(name))) continue;
    const message = `an endpoint of kind ${kind} takes no message without ${list.join(" or ")}`;
    throw refuse(["do", "send"], message, `write ${list[0]} beside send`);
  }
}
