/**
 * The id of an event that is unique only in its source. No two pairs give the same: a source's spaces are escaped, the id's are
 * behind the first one.
 */
export function sourceAndId(source: string, id: string): string {
  return `${source.replaceAll("%", "%25").replaceAll(" ", "%20")} ${id}`;
}
