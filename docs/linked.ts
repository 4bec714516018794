// Pages that a generated page mentions, as links.

import { posix } from "node:path";

/** @param page the generated page, as `docs/config.md`; @param text its markdown, whose code stays as it is */
export function linked(page: string, text: string): string {
  const from = posix.dirname(page);
  return text
    .split(/(```[\s\S]*?```|`[^`\n]*`)/)
    .map((part, nth) =>
      nth % 2 === 1
        ? part
        : part.replace(/(?<![\w/.[])docs\/[\w/-]+\.md/g, (target) => `[${target}](${posix.relative(from, target)})`),
    )
    .join("");
}
