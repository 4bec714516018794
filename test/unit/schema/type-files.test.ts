// `millrace types` for tables that read like TypeScript: what is written is compiled, as a program that uses it.

import ts from "typescript";
import { expect, test } from "vitest";
import type { CollectionSchema } from "../../../src/event/collection-schema.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import { typeFiles } from "../../../src/schema/type-files.ts";

const NAMES = ["constructor", "toString", "__proto__", "a.b", 'quo"te', "new\nline", "*/", "$or", "1st", "\u00fc"];
const LABELS = ["it's", 'a"b', "back\\slash", "", "*/", "`", "__proto__"];

const table = (namespace: string, collection: string): CollectionSchema => ({
  ...{ id: collection, namespace, collection, identity: "key", key: ["toString"] },
  columns: [
    ...NAMES.map((name) => ({ name, number: 1, type: "integer", value: { type: "integer" }, nullable: false })),
    { name: "valueOf", number: 2, type: "mood", value: { enum: LABELS }, nullable: null },
  ],
});

/** As much of the package as the file's own types go by. */
const PACKAGE = `export type Kind = "text" | "number" | "boolean" | "json" | readonly string[] | { readonly [name: string]: Kind };
export declare function collection<Row, Key = unknown, Omissible extends keyof Row = never>(
  source: string, name: string, options?: { readonly columns: Readonly<Record<string, Kind>> },
): { readonly row: Row; readonly key: Key; readonly omissible: Omissible };`;

const PROGRAM = `import { shop } from "./shop";
export const n: number = shop.class.row["a.b"] + shop["two.class"].row["*/"] + shop.Array.key.toString;`;

test("names of members of every object, of the language, and that two schemas share, compile", () => {
  const tables = [table("public", "class"), table("two", "class"), table("public", "Array")];
  const text = typeFiles("shop" as SourceId, tables).get("shop.ts") ?? "";
  const files: Readonly<Record<string, string>> = {
    "millrace.ts": PACKAGE,
    "shop.ts": text.replace('"millrace"', '"./millrace"'),
    "program.ts": PROGRAM,
  };
  const options: ts.CompilerOptions = {
    ...{ strict: true, noEmit: true, types: [], lib: ["lib.es5.d.ts"], target: ts.ScriptTarget.ES2022 },
    ...{ module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
  };
  const host = ts.createCompilerHost(options);
  const [read, exists] = [host.getSourceFile.bind(host), host.fileExists.bind(host)];
  const own = (path: string): string | undefined => files[path.slice(path.lastIndexOf("/") + 1)];
  host.fileExists = (path) => own(path) !== undefined || exists(path);
  host.getSourceFile = (path, version) => {
    const content = own(path);
    return content === undefined ? read(path, version) : ts.createSourceFile(path, content, version);
  };
  const program = ts.createProgram(["program.ts"], options, host);

  const found = [...program.getSemanticDiagnostics(), ...program.getSyntacticDiagnostics()];
  expect(found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"))).toEqual([]);
  expect(text).toContain('toString: "number" as const');
});
