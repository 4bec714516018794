// The process behind automation-process.ts: automations whose handlers do what the order's status says, word by word:
// `slow:<ms>` waits, `kill` ends the process, `fail` throws, `once` throws at the first attempt.

import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createLogger } from "../../../src/telemetry/create-logger.ts";
import { onOrder, startWorker } from "../automations.ts";
import type { AutomationOrder, Note } from "../check/automation-order.ts";

const order = JSON.parse(process.env.AUTOMATION_ORDER ?? "") as AutomationOrder;
const { attempts = 3, retryMs = 20, concurrency = 10 } = order;
const note = (line: Omit<Note, "pid" | "at">): void => {
  writeSync(1, `${JSON.stringify({ ...line, pid: process.pid, at: Date.now() })}\n`);
};

const automations = order.automations.map((automation) =>
  onOrder(
    automation,
    async ({ event, attempt }) => {
      const { id, status } = event.after;
      const about = { automation, id, sequence: event.sequence, attempt };
      note({ what: "start", ...about });
      for (const word of status.split(" ")) {
        if (word.startsWith("slow:")) await sleep(Number(word.slice("slow:".length)));
        if (word === "kill") process.kill(process.pid, "SIGKILL");
        if (word === "fail" || (word === "once" && attempt === 1)) {
          note({ what: "failed", ...about });
          throw new Error("no");
        }
      }
      note({ what: "ok", ...about });
    },
    { concurrency, ...(order.order && { order: order.order }), retry: { attempts, min: retryMs, max: retryMs * 2 } },
  ),
);
const worker = await startWorker({
  url: order.url,
  automations,
  ackWaitMs: order.ackWaitMs,
  ...(order.missedLookMs === undefined ? {} : { missedLookMs: order.missedLookMs }),
  log: createLogger({ level: "info", pretty: false }),
});
process.once("SIGTERM", () => void worker.stop().then(() => process.exit(0)));
