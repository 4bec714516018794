// A change's subject as a test wants to compare it.

import { unescapeToken } from "../../../src/event/subject.ts";

/** `<namespace>.<collection>.<op>`, names as in the database. */
export function decodeSubject(subject: string): string {
  return subject.split(".").slice(2, 5).map(unescapeToken).join(".");
}
