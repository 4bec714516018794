// What npm leaves undone: library links that were not made, and a package where only root can enter.

import { execFileSync } from "node:child_process";
import { chmod, mkdir, readlink, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runnable } from "../../../src/dev/postgres-binaries.ts";
import { scratchDir } from "../../support/servers.ts";

/** A package as npm unpacks it without its install script. */
async function unpacked(): Promise<string> {
  const root = join(await scratchDir(), "package");
  await mkdir(join(root, "native/lib"), { recursive: true });
  await mkdir(join(root, "native/bin"));
  await writeFile(join(root, "native/lib/libicu.so.60.2"), "");
  await writeFile(join(root, "native/bin/postgres"), "#!/bin/sh\necho ran\n", { mode: 0o755 });
  const links = [{ source: "native/lib/libicu.so.60.2", target: "native/lib/libicu.so.60" }];
  await writeFile(join(root, "native/pg-symlinks.json"), JSON.stringify(links));
  return root;
}

test("library links that are missing are made, and left alone when they are there", async () => {
  const root = await unpacked();

  runnable(root, "test", false);
  runnable(root, "test", false);

  expect(await readlink(join(root, "native/lib/libicu.so.60"))).toBe("libicu.so.60.2");
});

test.skipIf(process.getuid?.() !== 0)("a package in a closed folder is copied to where others can run it", async () => {
  const root = await unpacked();
  await chmod(root, 0o700);
  const version = `test-${process.pid}`;

  const native = runnable(root, version, true);
  const second = runnable(root, version, true);

  const ran = execFileSync(join(native, "bin/postgres"), { uid: 65534, gid: 65534, cwd: "/", encoding: "utf8" });
  await rm(join(native, ".."), { recursive: true });
  expect(native).not.toContain(root);
  expect(second).toBe(native);
  expect(ran).toBe("ran\n");
});

test("an open package is used where it is", async () => {
  const root = await unpacked();

  const native = runnable(root, "test", true);

  expect((await stat(native)).isDirectory()).toBe(true);
  expect(native).toBe(join(root, "native"));
});
