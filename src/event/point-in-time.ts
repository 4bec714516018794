// A time as people write it in options and on the command line.

const shape = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;

/** RFC 3339 with its zone, seconds may be left out, or a day in UTC; undefined for all else. */
export function parseTime(text: string): Date | undefined {
  const time = new Date(text);
  return shape.test(text) && !Number.isNaN(time.getTime()) ? time : undefined;
}
