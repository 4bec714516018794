// Automations that another version of the package made, and lists that hold what is no automation.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { loadConfigFile } from "../../../src/config/load.ts";
import { madeBy } from "../../../src/config/made-by.ts";
import { resolveConfig } from "../../../src/config/resolve.ts";
import { ConfigError } from "../../../src/errors.ts";
import * as millrace from "../../../src/index.ts";
import { given } from "../../../src/testing.ts";

/** What `automation()` of a version returned that said nothing of itself: an object without what came later. */
const older = `{ [Symbol.for("millrace.automation")]: true, id: "ship", triggers: [], needs: [], handler() {} }`;
const olderMade = { [Symbol.for("millrace.automation")]: true, id: "ship", triggers: [] };

/** A configuration with automations of its own, and an installed package of others that brings its own millrace. */
async function failureOf(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "millrace-made-by-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), text);
  }
  return failure(loadConfigFile({ directory, modules: { millrace }, automations: true }));
}

async function failure(loading: Promise<unknown> | (() => unknown)): Promise<string> {
  const error: unknown = await (typeof loading === "function" ? (async () => loading())() : loading).catch(
    (thrown: unknown) => thrown,
  );
  return error instanceof ConfigError ? `${error.code}: ${error.message} | ${error.hint}` : `no ConfigError: ${error}`;
}

function installed(madeByVersion?: string): Readonly<Record<string, string>> {
  const own = madeByVersion === undefined ? older : older.replace("id:", `madeBy: "${madeByVersion}", id:`);
  return {
    "node_modules/millrace/package.json": '{ "name": "millrace", "type": "module", "exports": "./index.js" }',
    "node_modules/millrace/index.js": `export const automation = () => Object.freeze(${own});`,
    "node_modules/shipping/package.json": '{ "name": "shipping", "type": "module", "exports": "./index.js" }',
    "node_modules/shipping/index.js": 'import { automation } from "millrace";\nexport const ship = automation();',
  };
}

test("an automation of a package with an older millrace is refused with the file that exports it, and with what to do", async () => {
  const glob = "sources: {}\nautomations: ./automations/*.ts";
  const said = await failureOf({
    ...installed(),
    "millrace.config.yaml": glob,
    "automations/ours.ts": 'export { ship } from "shipping";',
  });

  expect(said).toMatch(/^AUTOMATION_VERSION: automations\/ours\.ts: "ship" was made by an older millrace, /);
  expect(said).toContain(`millrace ${madeBy} cannot run it`);
  expect(said).toContain("npm ls millrace");
});

test("an automation of another version is refused by both versions, in a list of the configuration too", async () => {
  const config = 'import { ship } from "shipping";\nexport default { sources: {}, automations: [ship] };';

  expect(await failureOf({ ...installed("99.1.0"), "millrace.config.ts": config })).toContain(
    `AUTOMATION_VERSION: millrace.config.ts: automations[0]: "ship" was made by millrace 99.1.0; millrace ${madeBy} cannot run it`,
  );
});

test("an automation of another copy of the same version is loaded", async () => {
  const config = 'import { ship } from "shipping";\nexport default { sources: {}, automations: [ship] };';

  expect(await failureOf({ ...installed(madeBy), "millrace.config.ts": config })).toBe(
    "no ConfigError: [object Object]",
  );
});

test("a list that holds what is no automation is refused with its place", async () => {
  const circular = "export default { sources: {}, automations: [undefined] };";

  expect(await failureOf({ "millrace.config.ts": circular })).toMatch(
    /^AUTOMATION_INVALID: millrace\.config\.ts: automations\[0\] is no automation \| List what /,
  );
});

test("a worker inside an application, and the test kit, refuse them too", async () => {
  const resolving = (one: unknown) => () => resolveConfig({ sources: {}, automations: [one] }, new Map());
  const fit = millrace.automation("fit", { on: millrace.manual() }, () => {});

  expect(await failure(resolving(olderMade))).toMatch(/^AUTOMATION_VERSION: automations\[0\]: "ship" was made by /);
  expect(await failure(resolving({ id: "ship" }))).toMatch(/^AUTOMATION_INVALID: automations\[0\] is no automation/);
  expect(await failure(resolving(fit))).toMatch(/^no ConfigError/);
  expect(await failure(given([]).when(olderMade as never))).toMatch(/^AUTOMATION_VERSION: when: automations\[0\]: /);
});
