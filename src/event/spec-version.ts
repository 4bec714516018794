// Which version of CloudEvents a message is of: we know 1, and guess nothing about another.

import { undecodable } from "./percent.ts";

const OURS = "1.0";

/** @throws PoisonError `EVENT_UNDECODABLE` for another major version; a message that names none is taken for one of ours */
export function refuseOtherVersion(message: { header(name: string): string | undefined }): void {
  const version = message.header("ce-specversion");
  if (version === OURS || version === undefined || version.startsWith("1.")) return;
  throw undecodable("the header ce-specversion is not 1.0: a newer version of Millrace wrote it, or another program");
}
