// Percent encoding, as the CloudEvents binding has it for the values of headers.

import { PoisonError } from "../errors.ts";

/** Values as the CloudEvents binding wants them: printable ASCII but space, `"` and `%`; all else as UTF-8 bytes `%XX`. */
export function percentEncode(text: string): string {
  if (/^[!#$&-~]*$/.test(text)) return text;
  return text.replace(/[^!#$&-~]+/g, (run) => {
    let encoded = "";
    for (const byte of Buffer.from(run, "utf8")) encoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    return encoded;
  });
}

/** The reverse of `percentEncode`. @throws PoisonError `EVENT_UNDECODABLE` when it is not valid UTF-8 */
export function percentDecode(value: string): string {
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    throw undecodable("a header is not percent-encoded UTF-8");
  }
}

/** The same of a text that anybody may have written: one that is not encoded is what it is. */
export function percentDecoded(text: string): string {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param why without anything of the event itself */
export function undecodable(why: string): PoisonError {
  return new PoisonError("EVENT_UNDECODABLE", `not an event of ours: ${why}`, {
    hint: "something else than Millrace published into the source's stream; find it by the dead letter's headers",
  });
}
