// How a text becomes a header's value.

/** Values as the CloudEvents binding wants them: printable ASCII but space, `"` and `%`; all else as UTF-8 bytes `%XX`. */
export function percentEncode(text: string): string {
  if (/^[!#$&-~]*$/.test(text)) return text;
  return text.replace(/[^!#$&-~]+/g, (run) => {
    let encoded = "";
    for (const byte of Buffer.from(run, "utf8")) encoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    return encoded;
  });
}
