// Retry-After, as RFC 9110 has it: seconds, or a date.

/** Longer is not waited for: the endpoint is asked again. */
export const MOST_MS: number = 60 * 60_000;

/** Milliseconds, at most an hour; undefined where there is none, it is no such value, or it is over. @param now ms since 1970 */
export function retryAfterMs(value: string | undefined, now: number): number | undefined {
  const text = value?.trim() ?? "";
  const seconds = /^\d{1,10}$/.test(text) ? Number(text) : undefined;
  const date = seconds === undefined && /[A-Za-z]{3}.*\d/.test(text) ? Date.parse(text) : Number.NaN;
  const ms = seconds === undefined ? date - now : seconds * 1000;
  return ms > 0 ? Math.min(ms, MOST_MS) : undefined;
}
