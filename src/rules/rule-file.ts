// Reads a file of rules: YAML 1.2 (and so JSON), of which only what JSON has is taken, with the line of each value.

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type Scalar,
} from "yaml";
import { ConfigError, toError } from "../errors.ts";

/** One rule, as it is written. */
export interface WrittenRule {
  /** What JSON can hold. */
  readonly value: unknown;
  /** `rules/paid.yaml:3:5`: of the value at the path, or of what there is of it; of a member where its name stands. */
  place(path: readonly PropertyKey[]): string;
}

/** A rule is some lines: what is larger is no rule, and costs what a parser may be made to spend. */
const MAX_BYTES = 64 * 1024;
const MAX_DEPTH = 32;
/** Digits that a double keeps for certain. */
const MAX_DIGITS = 15;

/**
 * The rules of a file: a mapping is one, a list has several.
 * @param file as it is to be named
 * @throws ConfigError `RULE_INVALID`
 */
export function readRuleFile(bytes: Uint8Array, file: string): readonly WrittenRule[] {
  const lineCounter = new LineCounter();
  const at = (offset: number): string => {
    const { line, col } = lineCounter.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  if (bytes.length > MAX_BYTES)
    throw ruleInvalid(file, `it is larger than ${MAX_BYTES} bytes`, "split it: each file may hold several rules");
  const document = parsed(textOf(bytes, file), lineCounter, file);
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined) {
    // Never the parser's own text: it quotes the file.
    const what = error.code.toLowerCase().replaceAll("_", " ");
    const hint = WHY[error.code] ?? "mend the file; what is before that place may be what is wrong";
    throw ruleInvalid(at(error.pos[0]), what, hint);
  }
  if (document.directives?.yaml.explicit && document.directives.yaml.version !== "1.2")
    throw ruleInvalid(at(0), "it is not YAML 1.2", "take the %YAML directive out: in 1.1 `on` and `no` are no texts");
  const root = document.contents;
  if (root === null) throw ruleInvalid(file, "it holds no rule", "write one, or take the file out of the folder");
  const nodes = isSeq(root) ? (root.items as readonly Node[]) : [root];
  return nodes.map((node) => ({
    value: plain(node, at, 0),
    place: (path) => at(offsetOf(node, path)),
  }));
}

/** @param place of what is wrong, with its line */
export function ruleInvalid(place: string, message: string, hint: string): ConfigError {
  return new ConfigError("RULE_INVALID", `${place}: ${message}`, { hint });
}

const WHY: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: "write one list instead of several documents: each rule begins with `- id:`",
  DUPLICATE_KEY: "take one of the two out: which of them holds is nobody's guess",
  TAG_RESOLVE_FAILED: "take the tag (!…) out: a rule holds texts, numbers, true, false, null, lists and mappings",
  RESOURCE_EXHAUSTION: "nest it less deep",
  TAB_AS_INDENT: "indent with spaces",
};

function textOf(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw ruleInvalid(file, "it is not UTF-8", "save it as UTF-8");
  }
}

function parsed(text: string, lineCounter: LineCounter, file: string): Document.Parsed {
  try {
    return parseDocument(text, { version: "1.2", prettyErrors: false, lineCounter, uniqueKeys: true, merge: false });
  } catch (error) {
    // Nested so deep that the parser has no room left.
    throw ruleInvalid(file, `it cannot be read: ${toError(error).name}`, "nest it less deep");
  }
}

/** @throws ConfigError for what JSON has not, or a double would change */
function plain(node: unknown, at: (offset: number) => string, depth: number): unknown {
  if (node === null) return null;
  const here = at((node as Node).range?.[0] ?? 0);
  const { anchor, tag } = node as { readonly anchor?: string; readonly tag?: string };
  if (isAlias(node) || anchor !== undefined)
    throw ruleInvalid(here, "there are no anchors and aliases here", "write it out in each place");
  if (tag !== undefined) throw ruleInvalid(here, "there are no tags here", "take the tag out; a text stands in quotes");
  if (depth > MAX_DEPTH) throw ruleInvalid(here, `it is nested deeper than ${MAX_DEPTH} levels`, "nest it less deep");
  if (isSeq(node)) return node.items.map((item) => plain(item, at, depth + 1));
  if (isMap(node)) return Object.fromEntries(node.items.map((pair) => member(pair, at, depth, here)));
  return isScalar(node) ? scalar(node, here) : null;
}

function member(
  { key, value }: Pair,
  at: (offset: number) => string,
  depth: number,
  map: string,
): readonly [string, unknown] {
  const place = isScalar(key) ? at(key.range?.[0] ?? 0) : map;
  if (!isScalar(key) || typeof key.value !== "string" || key.anchor !== undefined)
    throw ruleInvalid(place, "a member's name is no text", 'put it in quotes: "1": …');
  if (key.value === "<<") throw ruleInvalid(place, "there are no merge keys here", "write the members out");
  if (key.value === "__proto__") throw ruleInvalid(place, "no member may be called so", "give it another name");
  return [key.value, plain(value, at, depth + 1)];
}

function scalar({ value, source = "" }: Scalar, here: string): unknown {
  if (typeof value !== "number") return value;
  if (!Number.isFinite(value))
    throw ruleInvalid(here, "it is no number that JSON has", "write it as a text, in quotes");
  const digits = source.replace(/e.*$/i, "").replaceAll(/\D/g, "").replace(/^0+/, "").replace(/0+$/, "");
  if (/^0[xo]/i.test(source) ? Number.isSafeInteger(value) : digits.length <= MAX_DIGITS) return value;
  throw ruleInvalid(here, "a number with so many digits would lose some", 'write it as a text: "9007199254740993"');
}

/** Where what the path names stands, as far as it is there. */
function offsetOf(root: Node, path: readonly PropertyKey[]): number {
  let node: unknown = root;
  let offset = root.range?.[0] ?? 0;
  for (const key of path) {
    if (isMap(node)) {
      const pair = node.items.find((one) => isScalar(one.key) && one.key.value === String(key));
      if (pair === undefined) break;
      offset = (pair.key as Scalar).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(key)];
      offset = (node as Node | undefined)?.range?.[0] ?? offset;
    } else {
      break;
    }
  }
  return offset;
}
