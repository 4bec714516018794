// What is said of a message of the outbox where the outbox has a table: it is no event, for any role may write one.

import type { SourceId } from "../../../event/source-id.ts";
import type { Logger } from "../../../telemetry/logger.ts";

/** Says it once: whoever may write one may write any number. */
export function tellUnread(source: SourceId, log: Logger): () => void {
  let told = false;
  return () => {
    if (told) return;
    told = true;
    log.warn(
      "source_notice",
      { source, code: "OUTBOX_MESSAGE_UNREAD" },
      'messages of the outbox are no events here, where it has a table, for any role may write them: let millrace.emit write rows, or set outbox: { mode: "message" }',
    );
  };
}
