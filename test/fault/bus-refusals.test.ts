// A bus that is there and refuses: its disk is full, or the worker's user may no longer publish. Nothing may be lost or
// doubled by it, the source is red meanwhile and says why, and it goes on by itself once the cause is gone.

import { execFileSync } from "node:child_process";
import { chmod, mkdir, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker } from "../../src/app.ts";
import { type NatsServer, startNats } from "../../src/dev/nats-server.ts";
import { FaultGround, seedOf } from "../support/fault-ground.ts";
import { RecordedLog } from "../support/postgres/recorded-log.ts";
import { freshNats, missing, scratchDir } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const timing = { idleCheckMs: 500, leaseTtlMs: 2_000, maxAwayMs: 5_000 };

async function run(
  configuration: Readonly<Record<string, unknown>>,
): Promise<AsyncDisposable & Pick<Worker, "status">> {
  const log = new RecordedLog();
  const worker = await startWorker(configuration, { log, timing });
  worker.finished.catch(() => {}); // it would show as a source that stays red
  await waitFor(() => log.count("source_started") > 0, { what: "the source to be read" });
  return { status: worker.status, [Symbol.asyncDispose]: () => worker.stop() };
}

const notReady = (worker: Pick<Worker, "status">): string | undefined =>
  worker.status().parts.find(({ kind, ready }) => kind === "source" && !ready)?.reason;

/** A file system of its own, of this size. */
async function smallDisk(megabytes: number): Promise<string> {
  const dir = join(await scratchDir(), "disk");
  await mkdir(dir);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", dir]);
  onTestFinished(() => void execFileSync("umount", ["-l", dir]));
  await chmod(dir, 0o755);
  return dir;
}

/** Other lines of configuration, without a restart. */
async function reload(nats: NatsServer, config: string): Promise<void> {
  const file = join(nats.dataDir, "nats.conf");
  const text = await readFile(file, "utf8");
  await writeFile(file, `${text.slice(0, text.indexOf("authorization"))}${config}\n`);
  process.kill(nats.pid, "SIGHUP");
}

const mayMount = process.getuid?.() === 0;

describe.skipIf(missing("postgres", "nats"))("a bus that refuses", () => {
  test.skipIf(!mayMount)("because its disk is full has lost and doubled nothing once there is room again", async () => {
    const disk = await smallDisk(96);
    await using nats = await startNats({ dataDir: join(disk, "nats"), syncInterval: "always" });
    await using ground = await FaultGround.start({ nats });
    await using worker = await run(ground.configuration());
    await using load = ground.write(seedOf("disk full"));
    await waitFor(() => (worker.status().sources[0]?.published ?? 0) > 500, { what: "events before it" });

    const { bavail, bsize } = await statfs(disk);
    const ballast = join(disk, "ballast");
    await writeFile(ballast, Buffer.alloc(bavail * bsize)).catch((error: NodeJS.ErrnoException) => {
      expect(error.code).toBe("ENOSPC"); // the server took some of the room meanwhile
    });
    const reason = await waitFor(() => notReady(worker), { what: "the source to be red", timeoutMs: 60_000 });
    // It depends on what the disk had no room for: a server that answers nothing, or one that refuses each batch.
    expect(reason).toMatch(
      /^(retrying: BUS_AWAY: the bus has stored nothing for \d+ s: |running: BUS_REFUSED: .* nothing could be stored for \d+ s$)/,
    );
    await rm(ballast);
    await nats.restart();
    await waitFor(() => notReady(worker) === undefined, { what: "the source to be green again", timeoutMs: 60_000 });
    await load.stop();
    await ground.judge();
  });

  test("because its user may no longer publish says so, and goes on when it may again", async () => {
    const config = (allowed: string): string =>
      `authorization { users: [
        { user: worker, password: secret, permissions: { publish: { allow: ["$JS.>", "$KV.>", ${allowed}] }, subscribe: ">" } }
        { user: all, password: all }
      ] }
      no_auth_user: all`;
    await using nats = await freshNats({ config: config('"cdc.>", "meta.>"') });
    await using ground = await FaultGround.start({ nats });
    await using worker = await run(ground.configuration({ natsUrl: nats.url.replace("//", "//worker:secret@") }));
    await using load = ground.write(seedOf("permission"));
    await waitFor(() => (worker.status().sources[0]?.published ?? 0) > 500, { what: "events before it" });

    await reload(nats, config('"meta.>"'));
    const stalledBy = (): string | undefined => worker.status().sources[0]?.stalledBy?.message;
    await waitFor(() => stalledBy()?.includes("NATS does not let this user publish to cdc.shop."), {
      what: "the source to say what stalls it",
    });
    await reload(nats, config('"cdc.>", "meta.>"'));
    await waitFor(() => stalledBy() === undefined, { what: "the source to go on" });
    await load.stop();
    await ground.judge();
  });
});
