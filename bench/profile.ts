// Where the time of a drain goes: the tail under V8's sampling profiler, its samples summed up by the rooms of src.

import { readdir, readFile, stat } from "node:fs/promises";
import { SourceMap, type SourceMapPayload } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { drainWithWorker, prepareSlot } from "./drain.ts";
import { onGround } from "./ground.ts";
import type { BenchOptions, BenchResult } from "./result.ts";
import { createTable, writeRows } from "./rows.ts";

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
      readonly columnNumber: number;
    };
  }[];
  /** Ids of nodes, and the microseconds before each. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

const profiles = (dir: string): string => join(dir, "profiles");

export function benchProfile({ rows, sync, say }: BenchOptions): Promise<BenchResult> {
  const node = (dir: string): readonly string[] => [
    "--cpu-prof",
    "--cpu-prof-interval",
    "500",
    "--cpu-prof-dir",
    profiles(dir),
  ];
  return onGround({ sync, settings: { max_wal_size: "8GB" }, sources: ["s1"], node }, async (ground) => {
    await createTable(ground.database);
    await prepareSlot(ground, 1);
    say(`writing ${rows} rows`);
    await writeRows(ground.database, rows);
    await ground.database.query("checkpoint");
    const { rate, peakRssMb } = await drainWithWorker(ground, 1, rows);
    const details = await sharesByRoom(await newestProfile(profiles(ground.dir)));
    return {
      name: "profile",
      value: rate,
      unit: "rows/s",
      reference: null,
      ratio: null,
      rssMb: peakRssMb ?? null,
      sync,
      servers: ground.servers,
      rows,
      details,
      runs: { ours: [rate], reference: [] },
    };
  });
}

async function newestProfile(dir: string): Promise<CpuProfile> {
  const files = await Promise.all(
    (await readdir(dir)).map(async (file) => ({ file, at: (await stat(join(dir, file))).mtimeMs })),
  );
  const [newest] = files.sort((a, b) => b.at - a.at);
  if (newest === undefined) throw new Error(`no profile in ${dir}`);
  return JSON.parse(await readFile(join(dir, newest.file), "utf8")) as CpuProfile;
}

/** Of the time in which the worker's thread did anything, the percentage of each room that has one per cent or more. */
async function sharesByRoom({ nodes, samples, timeDeltas }: CpuProfile): Promise<Readonly<Record<string, number>>> {
  const maps = new Map<string, SourceMap | undefined>();
  const rooms = new Map<number, string>();
  for (const { id, callFrame } of nodes) rooms.set(id, await roomOf(callFrame, maps));
  const times = new Map<string, number>();
  let total = 0;
  samples.forEach((id, nth) => {
    const room = rooms.get(id) ?? "";
    const time = timeDeltas[nth] ?? 0;
    if (room === "(idle)") return;
    times.set(room, (times.get(room) ?? 0) + time);
    total += time;
  });
  const percent = [...times].map(([room, time]): [string, number] => [room, Math.round((time / total) * 1000) / 10]);
  return Object.fromEntries(percent.filter(([, share]) => share >= 1).sort((a, b) => b[1] - a[1]));
}

/** A folder of src, a package, `node` for Node's own code, or what V8 names in parentheses. */
async function roomOf(
  { functionName, url, lineNumber, columnNumber }: CpuProfile["nodes"][number]["callFrame"],
  maps: Map<string, SourceMap | undefined>,
): Promise<string> {
  if (url === "") return functionName.startsWith("(") && functionName !== "(root)" ? functionName : "node";
  if (!url.startsWith("file:")) return "node";
  const file = fileURLToPath(url);
  if (!maps.has(file)) maps.set(file, await mapOf(file));
  const entry = maps.get(file)?.findEntry(lineNumber, columnNumber);
  const origin = entry !== undefined && "originalSource" in entry ? resolve(dirname(file), entry.originalSource) : file;
  const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(origin) ?? [];
  return name ?? dirname(relative(resolve("src"), origin));
}

async function mapOf(file: string): Promise<SourceMap | undefined> {
  try {
    return new SourceMap(JSON.parse(await readFile(`${file}.map`, "utf8")) as SourceMapPayload);
  } catch {
    return undefined; // a package's own file
  }
}
