// The process behind crashing-worker.ts: a whole worker that kills itself where it is told to.

import { startWorker } from "../../../src/app.ts";
import { createLogger } from "../../../src/telemetry/create-logger.ts";
import { type CrashOrder, STARTED } from "./crash-order.ts";

const { config, crash } = JSON.parse(process.env.CRASH_ORDER ?? "") as CrashOrder;
let left = crash?.nth;
const worker = await startWorker(config, {
  log: createLogger({ level: "info", pretty: false }),
  timing: { leaseTtlMs: 600 },
  probe: (point) => {
    if (point !== crash?.point || left === undefined) return;
    left--;
    if (left === 0) process.kill(process.pid, "SIGKILL");
  },
});
process.once("SIGTERM", () => void worker.stop());
console.error(STARTED); // from now on SIGTERM drains
await worker.finished;
