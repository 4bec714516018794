// The files of the image, laid out as docker/Dockerfile says below a directory: a worker there, with an automation beside its
// configuration that imports packages the image brings, and one that the user brings.

import { cp, mkdir, readFile, symlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { describe, expect, inject, test } from "vitest";
import { WorkerProcess } from "../../../../support/process/worker-process.ts";
import { freshDatabase, freshNats, missing, scratchDir } from "../../../../support/servers.ts";

const automation = `
import { Pool } from "pg";
import { eq } from "drizzle-orm";
import { z } from "zod";
import { mine } from "mine";
import { automation, collection } from "millrace";

const orders = collection<{ id: number }>("shop", "public.orders");
const pool = new Pool({ connectionString: process.env.DATABASE_URL });

export const count = automation("count", { on: orders.created() }, async ({ event, log }) => {
  const { rows } = await pool.query("select count(*)::int as n from orders");
  log.info(\`\${mine} \${typeof eq} \${z.number().parse(rows[0].n)} \${event.after.id}\`);
});
`;

/** Where the lines of the Dockerfile's last stage put things, below `root`. */
async function layOut(root: string): Promise<void> {
  const stage = (await readFile("docker/Dockerfile", "utf8")).split(/^FROM .+$/m).at(-1) ?? "";
  const built: Readonly<Record<string, string>> = {
    "/build/package.json": "package.json",
    "/build/node_modules": "node_modules",
    "/build/dist": dirname(inject("cliFile")),
  };
  for (const [, from = "", to = ""] of stage.matchAll(/^COPY (?:--from=build )?(\S+) (\S+)$/gm)) {
    const source = resolve(built[from] ?? from);
    const target = join(root, to);
    await mkdir(dirname(target), { recursive: true });
    if (from.endsWith("node_modules")) await symlink(source, target);
    else await cp(source, target, { recursive: true });
  }
  for (const [, to = "", at = ""] of stage.matchAll(/^RUN ln -s (\S+) (\S+)$/gm))
    await symlink(join(root, to), join(root, at));
}

describe.skipIf(missing("postgres", "nats"))("in the image", () => {
  test("an automation imports what the image brings, and what lies beside it", async () => {
    await using database = await freshDatabase();
    const nats = await freshNats();
    await database.query("create table orders(id int primary key)");
    const root = await scratchDir();
    await layOut(root);
    const configuration = {
      bus: { servers: nats.url, fsync: "always" },
      sources: { shop: { kind: "postgres", url: { env: "DATABASE_URL" } } },
      automations: "./automations/*.ts",
    };
    await using worker = await WorkerProcess.start(configuration, {
      directory: join(root, "etc/millrace"),
      cliFile: join(root, "opt/millrace/dist/cli.js"),
      env: { DATABASE_URL: database.url },
      files: {
        "automations/count.ts": automation,
        "node_modules/mine/package.json": JSON.stringify({
          name: "mine",
          version: "1.0.0",
          type: "module",
          main: "index.js",
        }),
        "node_modules/mine/index.js": 'export const mine = "mine";',
      },
    });
    await worker.logged("automation_started", ({ source }) => source === "shop");
    await database.query("insert into orders values (7)");

    expect(await worker.logged("automation_log")).toMatchObject({ msg: "mine function 1 7" });
    expect(await worker.stop()).toBe(0);
  });
});
