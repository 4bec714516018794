// A collection as headers name it.

import { percentEncode } from "./percent.ts";

/**
 * `<namespace>.<collection>` for a header: a dot, a slash or a `~` within a name is escaped as in subjects, so that two
 * collections never share it.
 */
export function collectionPlace(namespace: string, collection: string): string {
  return percentEncode(`${placeToken(namespace)}.${placeToken(collection)}`);
}

function placeToken(name: string): string {
  return name.replace(/[./~]/g, (letter) => `~${letter.charCodeAt(0).toString(16).toUpperCase()}`);
}
