// Copies of our own source with one promise broken on purpose: tests that stay green on them prove nothing.

import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { startWorker } from "../../src/app.ts";
import type { Protocol } from "./bus/publish-model.ts";

export interface Mutation {
  readonly name: string;
  /** Each text must stand in its file exactly once, so that a mutant cannot rot unnoticed. */
  readonly edits: readonly { readonly file: string; readonly find: string; readonly replace: string }[];
}

/** Writes the mutated tree under the project's own scratch folder; resolves to its `src`. */
export async function mutate({ name, edits }: Mutation): Promise<string> {
  const root = resolve(".millrace/mutants", `${name}-${process.pid}`);
  await rm(root, { recursive: true, force: true });
  await mkdir(root, { recursive: true });
  await cp(resolve("src"), join(root, "src"), { recursive: true });
  await cp(resolve("package.json"), join(root, "package.json"));
  // What crosses from the scripted bus to the code under test, and is told by its class there.
  for (const file of ["errors.ts", "bus/jetstream/stream/port.ts"])
    if (edits.every((edit) => edit.file !== file))
      await writeFile(
        join(root, "src", file),
        `export * from ${JSON.stringify(pathToFileURL(resolve("src", file)).href)};\n`,
      );
  for (const { file, find, replace } of edits) {
    const path = join(root, "src", file);
    const text = await readFile(path, "utf8");
    if (text.split(find).length !== 2)
      throw new Error(`${name}: the text to change does not stand exactly once in src/${file}: ${find}`);
    await writeFile(
      path,
      text.replace(find, () => replace),
    );
  }
  return join(root, "src");
}

/** The publish protocol of a source tree. */
export async function loadProtocol(src: string): Promise<Protocol> {
  const load = (file: string): Promise<Partial<Protocol>> => import(pathToFileURL(join(src, file)).href);
  const modules = await Promise.all(
    ["bus/jetstream/writer/open-writer.ts", "worker/checkpoint.ts", "worker/merge-producers.ts"].map(load),
  );
  return Object.assign({}, ...modules) as Protocol;
}

/** The whole worker of a source tree. */
export async function loadWorker(src: string): Promise<typeof startWorker> {
  const app: { readonly startWorker: typeof startWorker } = await import(pathToFileURL(join(src, "app.ts")).href);
  return app.startWorker;
}
