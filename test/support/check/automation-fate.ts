// What a handler of the chaos does with an event: decided by the event alone, so that the handler, in whichever process, and the
// judge agree on what must have become of it.

/** How one attempt ends. */
export type AttemptEnd = "done" | "skipped" | "failed" | "fatal";

/**
 * How the attempt of an automation at an event ends. Its text is put into the workers' module of automations: it may name
 * nothing from outside of itself.
 * @param automation `flaky` fails, skips and gives up at random, `ordered` mostly works, and fails for good now and then
 */
export function fateOf(automation: string, id: string, attempt: number): AttemptEnd {
  const text = `${automation}/${id}/${automation === "ordered" ? "" : attempt}`;
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d) >>> 0;
  const dice = ((hash ^ (hash >>> 15)) >>> 0) / 0x1_0000_0000;
  if (automation === "ordered") {
    if (dice < 0.002) return "failed";
    if (dice < 0.004) return attempt === 2 ? "fatal" : "failed";
    return dice < 0.03 && attempt === 1 ? "failed" : "done";
  }
  if (dice < 0.16) return "failed";
  if (dice < 0.17) return "fatal";
  return dice < 0.22 ? "skipped" : "done";
}

/** What must become of an event: its end, and how many failed attempts stand before it that another one followed. */
export interface Fate {
  readonly outcome: "done" | "skipped" | "dead";
  readonly reason?: "exhausted" | "fatal";
  readonly retried: number;
}

/** @param attempts at most */
export function wholeFate(automation: string, id: string, attempts: number): Fate {
  for (let attempt = 1; ; attempt++) {
    const end = fateOf(automation, id, attempt);
    if (end === "fatal") return { outcome: "dead", reason: "fatal", retried: attempt - 1 };
    if (end !== "failed") return { outcome: end, retried: attempt - 1 };
    if (attempt === attempts) return { outcome: "dead", reason: "exhausted", retried: attempt - 1 };
  }
}
