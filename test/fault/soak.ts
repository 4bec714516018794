// `npm run soak -- --minutes 30 [--seed 7] [--pause 250]`: random faults of every kind; prints one JSON result, exits 1
// unless everything is exact. What ran here is on record in docs/reliability.md. `-- --idle --minutes 30`: a worker with the
// default configuration and no writes; exits 1 at any warning or alarm, and when the first acknowledgement is late.
// `-- --automations [--events 100000] [--kills 20] [--seed 7]`: automations whose handlers fail at random, in two workers
// that are killed at random; exits 1 unless each event has exactly its outcomes.

import { parseArgs } from "node:util";
import { runChaos } from "../support/process/automations-chaos.ts";
import { buildCli } from "../support/process/build-cli.ts";
import { runIdle } from "../support/process/idle-run.ts";
import { runSoak } from "../support/process/soak-run.ts";
import { cleanUp } from "../support/servers.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 1e9) },
    pause: { type: "string", default: "250" },
    idle: { type: "boolean", default: false },
    automations: { type: "boolean", default: false },
    events: { type: "string", default: "100000" },
    kills: { type: "string", default: "20" },
  },
});
const cli = await buildCli();
const common = { minutes: Number(values.minutes), cliFile: cli.file, say: (text: string) => console.error(text) };
try {
  if (!values.idle) console.error(`seed ${values.seed}`);
  const seed = Number(values.seed);
  const result = values.idle
    ? await runIdle(common)
    : values.automations
      ? await runChaos({ ...common, seed, events: Number(values.events), kills: Number(values.kills) })
      : await runSoak({ ...common, seed, pauseMs: Number(values.pause) });
  console.log(JSON.stringify(result));
  process.exitCode = result.ok ? 0 : 1;
} finally {
  await cleanUp();
  await cli.remove();
}
process.exit(); // a connection that a fault left half open must not keep us
