// `traceparent` of W3C Trace Context: which trace an event belongs to, as a transaction or an outbox event carries it.

/** Version 00: a later one is read by its beginning, as the specification says. */
const form = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.{0,200})?$/;

/** The text where it is one; undefined for all else: then a trace ends here, and nothing is wrong with the event. */
export function traceParent(text: unknown): string | undefined {
  if (typeof text !== "string" || !form.test(text)) return undefined;
  return text.slice(0, 55);
}
