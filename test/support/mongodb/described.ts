// What types say of a collection, and whether documents are as they say: by the JSON Schema, and by the TypeScript compiler.

import { Ajv2020 } from "ajv/dist/2020.js";
import { BSON } from "mongodb";
import ts from "typescript";
import type { SourceId } from "../../../src/event/source-id.ts";
import { typeFiles } from "../../../src/schema/type-files.ts";
import { JsonWriter } from "../../../src/source/json-writer.ts";
import { collectionSchemaOf } from "../../../src/source/mongodb/commands/describe-collections.ts";
import { type Encoding, writeDocument } from "../../../src/source/mongodb/values/bson-json.ts";

const SHOP = "shop" as SourceId;
const writer = new JsonWriter();

/** Raw. The driver writes null for undefined, which older ones did not. */
function bytesOf(document: object): Buffer {
  const bytes = Buffer.from(BSON.serialize(document, { ignoreUndefined: false }));
  if ("v" in document && document.v === undefined) bytes[bytes.indexOf("\x0av\0", 0, "latin1")] = 0x06;
  return bytes;
}

/** As an event has it, as text. */
export function delivered(document: object, encoding: Encoding = "json"): string {
  writer.reserve(0);
  const start = writer.at;
  writeDocument(writer, encoding, bytesOf(document));
  return Buffer.from(writer.view(start)).toString();
}

/** What types say of a collection. */
export interface Described {
  readonly ts: string;
  /** Whether the JSON Schema allows what is delivered of a document. */
  allows(document: object): boolean;
  /** What TypeScript says of code that has the delivered documents as `Orders`. */
  compile(documents: readonly object[]): readonly string[];
}

/** @param options of the collection, as a server has them */
export function describeOrders(options: object, documents: readonly object[], encoding: Encoding = "json"): Described {
  const raw = documents.map(bytesOf);
  const schema = collectionSchemaOf({
    namespace: "shop",
    name: "orders",
    options,
    documents: raw,
    encoding,
    bareName: true,
  });
  const files = typeFiles(SHOP, [schema]);
  const text = files.get("shop.ts") ?? "";
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: false });
  const validate = ajv.compile({ ...JSON.parse(files.get("shop.schema.json") ?? ""), $ref: "#/$defs/shop.orders" });
  return {
    ts: text,
    allows: (document) => validate(JSON.parse(delivered(document, encoding))),
    compile: (rows) =>
      errorsOf(
        text,
        rows.map((row) => delivered(row, encoding)),
      ),
  };
}

const compilerOptions: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2022,
  lib: ["lib.es5.d.ts"],
  types: [],
};
const libraries = new Map<string, ts.SourceFile | undefined>();

/**
 * What the compiler says of values, as JSON, that are taken for a type of the file. A literal would be held to excess members
 * too, so each goes through a variable of its own type.
 */
export function errorsOf(types: string, rows: readonly string[], type = "Orders"): readonly string[] {
  const own = types.slice(
    types.search(/\/\*\* An? (?:document|item)/),
    types.search(/\/\*\* The (?:collections|tables)/),
  );
  const code = `${own}\n${rows.map((row, nth) => `const v${nth} = ${row} as const;\nexport const r${nth}: ${type} = v${nth};`).join("\n")}`;
  const host = ts.createCompilerHost(compilerOptions);
  const original = host.getSourceFile.bind(host);
  host.getSourceFile = (name, version) => {
    if (name === "rows.ts") return ts.createSourceFile(name, code, version);
    if (!libraries.has(name)) libraries.set(name, original(name, version));
    return libraries.get(name);
  };
  const program = ts.createProgram(["rows.ts"], compilerOptions, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}
