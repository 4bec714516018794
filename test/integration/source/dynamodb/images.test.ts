// Images that a handler reads, and that a table's stream does not carry by its view type: the start is refused by name.

import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { startWorker } from "../../../../src/app.ts";
import type { ViewType } from "../../../../src/dev/dynamodb/streams.ts";
import { type Automation, automation, collection } from "../../../../src/index.ts";
import { startDouble, stubCredentials } from "../../../support/dynamodb/dynamo-servers.ts";
import { runCommand } from "../../../support/process/run-command.ts";
import { freshNats, missing, scratchDir } from "../../../support/servers.ts";

const NOWHERE = "nats://127.0.0.1:1";
const carts = collection<{ id: string }>("shop", "_.carts");
let server: Awaited<ReturnType<typeof startDouble>>;

beforeEach(async () => {
  stubCredentials();
  server = await startDouble();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  vi.unstubAllEnvs();
});

function make(view: ViewType): void {
  server.double.createTable("carts", { stream: false });
  server.double.life.enable("carts", view);
}

const config = (bus: string, on: Automation["triggers"][number], endpoint = server.url) => ({
  bus: { servers: bus, fsync: "always" },
  sources: { shop: { kind: "dynamodb", endpoint, region: "eu-west-1", tables: ["carts"] } },
  automations: [automation("greet", { on }, () => {})],
});

describe.skipIf(missing("nats"))("of a table whose stream is", () => {
  const after =
    /^greet: its handler reads after of _\.carts of the source shop, which events do not carry: its stream is/;
  const before = /^greet: its handler reads before of _\.carts/;
  test.each<[ViewType, string, Automation["triggers"][number], RegExp]>([
    ["KEYS_ONLY", "created", carts.created(), after],
    ["OLD_IMAGE", "updated", carts.updated(), after],
    ["NEW_IMAGE", "updated with before", carts.updated({ images: ["before", "after"] }), before],
    ["KEYS_ONLY", "deleted with before", carts.deleted({ images: ["before"] }), before],
  ])("%s, a trigger on %s refuses the start", async (view, _, on, message) => {
    make(view);
    await expect(startWorker(config(NOWHERE, on))).rejects.toMatchObject({
      code: "AUTOMATION_IMAGES",
      message: expect.stringMatching(message),
      hint: expect.stringMatching(
        /a new stream behind a gap: aws dynamodb update-table --table-name carts --stream-specification StreamEnabled=false --region eu-west-1 .*, then .*StreamViewType=NEW_AND_OLD_IMAGES .*images: \[\]/,
      ),
    });
  });

  test.each<[ViewType, string, Automation["triggers"][number]]>([
    ["NEW_AND_OLD_IMAGES", "updated with before", carts.updated({ images: ["before"] })],
    ["NEW_IMAGE", "created", carts.created()],
    ["OLD_IMAGE", "deleted with before", carts.deleted({ images: ["before"] })],
    ["KEYS_ONLY", "deleted", carts.deleted()],
    ["KEYS_ONLY", "created for the key alone", carts.created({ images: [] })],
  ])("%s, a trigger on %s starts", async (view, _, on) => {
    make(view);
    const { url } = await freshNats();
    const worker = await startWorker(config(url, on));
    onTestFinished(() => worker.stop());
    worker.finished.catch(() => {}); // only its start is looked at
  });

  test("KEYS_ONLY, a where that reads what is not there refuses the start: no event would ever match", async () => {
    make("KEYS_ONLY");
    const on = carts.deleted();
    const reads = (where: object) => {
      const one = automation("greet", { on, where: where as never }, () => {});
      return startWorker({ ...config(NOWHERE, on), automations: [one] });
    };

    await expect(reads({ before: { state: ["open"] } })).rejects.toMatchObject({
      code: "AUTOMATION_IMAGES",
      message: expect.stringMatching(/^greet: its where reads before of _\.carts of the source shop/),
      hint: expect.stringMatching(/StreamViewType=NEW_AND_OLD_IMAGES/),
    });
  });

  test("not known, because nobody answers there, a trigger starts: what is in the stream does not wait", async () => {
    const { url } = await freshNats();
    const worker = await startWorker(config(url, carts.created(), "http://127.0.0.1:1"));
    onTestFinished(() => worker.stop());
    worker.finished.catch(() => {});
  });

  test("KEYS_ONLY, check says it with what mends it", async () => {
    make("KEYS_ONLY");
    const cwd = await scratchDir();
    const { url } = await freshNats();
    const { automations: _, ...file } = config(url, carts.created());
    await writeFile(join(cwd, "millrace.config.json"), JSON.stringify({ ...file, automations: "./automations/*.ts" }));
    await mkdir(join(cwd, "automations"));
    await symlink(join(process.cwd(), "node_modules"), join(cwd, "node_modules"));
    await writeFile(
      join(cwd, "automations/greet.ts"),
      `import { automation, collection } from "millrace";
export const greet = automation("greet", { on: collection("shop", "_.carts").created() }, () => {});`,
    );
    const { code, stdout } = await runCommand(["check", "--json"], { cwd });
    expect(JSON.parse(stdout).findings).toContainEqual(
      expect.objectContaining({
        ...{ of: "automations", level: "fail", code: "AUTOMATION_IMAGES" },
        fix: expect.stringContaining("StreamViewType=NEW_AND_OLD_IMAGES"),
      }),
    );
    expect(code).toBe(3);
  });
});

test("images that there are none of are refused where they are written", () => {
  expect(() => carts.created({ images: ["later" as never] })).toThrow(
    expect.objectContaining({ code: "AUTOMATION_INVALID" }),
  );
});
