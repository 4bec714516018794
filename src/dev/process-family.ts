// Finds a process' children: Postgres' backends are each a session of their own, so no process group holds them.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** The process itself, then its direct children. */
export function processFamily(pid: number): readonly number[] {
  const rows = process.platform === "linux" ? fromProc() : fromPs();
  return [pid, ...rows.filter((row) => row.parent === pid).map((row) => row.pid)];
}

interface Row {
  readonly pid: number;
  readonly parent: number;
}

/** Small Linux images have no `ps`. */
function fromProc(): readonly Row[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // The command's name, in parentheses, may hold anything; behind it: state, parent, …
        const stat = readFileSync(`/proc/${name}/stat`, "latin1");
        const parent = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
        return [{ pid: Number(name), parent: Number(parent) }];
      } catch {
        return []; // it ended meanwhile
      }
    });
}

function fromPs(): readonly Row[] {
  const table = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  return table
    .trim()
    .split("\n")
    .map((row) => {
      const [pid, parent] = row.trim().split(/\s+/);
      return { pid: Number(pid), parent: Number(parent) };
    });
}
