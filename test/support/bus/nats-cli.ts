// The `nats` command, which our pages tell people to use: from the path, else built once into the user's cache.

import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const VERSION = "v0.4.0";

/** Its directory. @throws Error where it is neither there nor can be built */
export async function natsCli(): Promise<string> {
  const onPath = execFileSync("bash", ["-c", "command -v nats || true"], { encoding: "utf8" }).trim();
  if (onPath !== "") return join(onPath, "..");
  const dir = join(homedir(), ".cache/millrace", `nats-cli-${VERSION}`);
  if (!existsSync(join(dir, "nats"))) {
    const env = { ...process.env, GOBIN: dir };
    await promisify(execFile)("go", ["install", `github.com/nats-io/natscli/nats@${VERSION}`], {
      env,
      timeout: 400_000,
    });
  }
  return dir;
}
