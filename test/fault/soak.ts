// `npm run soak -- --minutes 30 [--seed 7] [--pause 250]`: random faults of every kind; prints one JSON result, exits 1
// unless everything is exact. What ran here is on record in docs/reliability.md.

import { parseArgs } from "node:util";
import { buildCli } from "../support/build-cli.ts";
import { cleanUp } from "../support/servers.ts";
import { runSoak } from "../support/soak-run.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string", default: String(Date.now() % 1e9) },
    pause: { type: "string", default: "250" },
  },
});
const cli = await buildCli();
try {
  console.error(`seed ${values.seed}`);
  const result = await runSoak({
    minutes: Number(values.minutes),
    seed: Number(values.seed),
    pauseMs: Number(values.pause),
    cliFile: cli.file,
    say: (text) => console.error(text),
  });
  console.log(JSON.stringify(result));
  process.exitCode = result.ok ? 0 : 1;
} finally {
  await cleanUp();
  await cli.remove();
}
process.exit(); // a connection that a fault left half open must not keep us
