// Sizes and times as a person reads them.

/** `1.2 MB`; `-` for null. */
export function bytes(count: number | null): string {
  if (count === null) return "-";
  let value = Math.abs(count);
  let unit = 0;
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${count < 0 ? "-" : ""}${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Below ten seconds to the millisecond; `-` for null. */
export function preciseSeconds(seconds: number | null): string {
  return seconds !== null && seconds < 10 ? `${seconds.toFixed(3)} s` : duration(seconds);
}

/** `3 h`; `-` for null. */
export function duration(seconds: number | null): string {
  if (seconds === null) return "-";
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return seconds < 86_400 * 10_000 ? `${Math.round(seconds / 86_400)} d` : "-";
}

/** `70 %` */
export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
