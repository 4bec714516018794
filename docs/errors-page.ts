// docs/errors.md from the code: every place that makes one of our errors, with its code, its words and its fix.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { linked } from "./linked.ts";

/** One place in the code that makes an error. */
export interface ErrorSite {
  readonly className: string;
  readonly code: string;
  /** Its words, with `…` for what they are filled with; empty when another function gives them. */
  readonly message: string;
  readonly hint: string;
  /** `src/config/env.ts` */
  readonly file: string;
}

const classes: Readonly<Record<string, string>> = {
  ConfigError:
    "The configuration or the set-up is wrong. Nothing was changed; the command ends with exit code 2. Once a source has worked in this process, it is tried again instead.",
  TransientError: "Something is away for now. It is tried again with growing pauses, for ever.",
  HistoryLostError:
    "The source no longer holds what comes next. Nothing is skipped in silence: the command ends with exit code 4.",
  FencedError: "Another worker holds the right to write. This one steps down without writing, and waits for its turn.",
  PoisonError:
    "One row can never be decoded or stored. It becomes a dead letter with a marker in its place in the stream.",
  BugError: "A broken invariant of Millrace itself: it crashes rather than guess, with exit code 1. Please report it.",
};

/** All places below a folder. @throws Error for one whose code cannot be read from the code */
export function errorSites(root: string): readonly ErrorSite[] {
  return readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .sort()
    .flatMap((name) => sitesIn(join(root, "src", name), `src/${name.replaceAll("\\", "/")}`));
}

export function errorsPage(sites: readonly ErrorSite[]): string {
  const lines = [
    "# Errors",
    "",
    "Written by `npm run docs` from the code. Every error has a code, says what happened, and what to do:",
    "",
    "```",
    "CODE: what happened",
    "fix: what to do",
    "```",
    "",
    "The command ends with 2 or 4 as said below, with 1 for anything else, and with 0 when it was asked to stop. No error",
    "text holds row data or secrets.",
  ];
  for (const [className, meaning] of Object.entries(classes)) {
    const codes = [...new Set(sites.filter((site) => site.className === className).map((site) => site.code))].sort();
    lines.push("", `## ${className}`, "", meaning);
    if (codes.length > 0) lines.push("", "| code | says | fix | from |", "|---|---|---|---|");
    for (const code of codes) {
      const same = sites.filter((site) => site.className === className && site.code === code);
      const column = (pick: (site: ErrorSite) => string): string =>
        [...new Set(same.map(pick).filter((text) => text !== ""))].map(cell).join("<br>");
      lines.push(
        `| \`${code}\` | ${column((site) => site.message)} | ${column((site) => site.hint)} | ${column((site) => site.file)} |`,
      );
    }
  }
  return linked("docs/errors.md", `${lines.join("\n")}\n`);
}

/** Inside of backticks a `<` is one. */
function cell(text: string): string {
  const parts = text
    .replace(/\s*\n\s*/g, " ")
    .replaceAll("|", "\\|")
    .split("`");
  return parts.map((part, nth) => (nth % 2 === 0 ? part.replaceAll("<", "&lt;") : part)).join("`");
}

function sitesIn(path: string, file: string): ErrorSite[] {
  const source = ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest, true);
  const sites: ErrorSite[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && ts.isIdentifier(node.expression) && node.expression.text in classes) {
      sites.push(...sitesOf(node, source, file));
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return sites;
}

function sitesOf(made: ts.NewExpression, source: ts.SourceFile, file: string): ErrorSite[] {
  const className = made.expression.getText();
  const [code, message, details] = made.arguments ?? [];
  const hint = wordsOf(property(details, "hint"));
  if (code !== undefined && ts.isStringLiteralLike(code)) {
    return [{ className, code: code.text, message: wordsOf(message), hint, file }];
  }
  // The code comes out of a table of this file: its entries are objects with a code and a hint.
  const entries = tableEntries(source);
  if (entries.length === 0) throw new Error(`${file}: the code of a ${className} is not written out`);
  return entries.map((entry) => ({ className, message: wordsOf(message), file, ...entry }));
}

function tableEntries(source: ts.SourceFile): { readonly code: string; readonly hint: string }[] {
  const entries: { code: string; hint: string }[] = [];
  const visit = (node: ts.Node): void => {
    const code = property(node, "code");
    if (code !== undefined && ts.isStringLiteralLike(code)) {
      entries.push({ code: code.text, hint: wordsOf(property(node, "hint")) });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return entries;
}

function property(node: ts.Node | undefined, name: string): ts.Expression | undefined {
  if (node === undefined || !ts.isObjectLiteralExpression(node)) return undefined;
  const found = node.properties.find((member) => member.name?.getText() === name);
  return found !== undefined && ts.isPropertyAssignment(found) ? found.initializer : undefined;
}

/** The text of a string, a template or a choice between them; `…` for what is only known later. */
function wordsOf(node: ts.Expression | undefined): string {
  if (node === undefined) return "";
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) {
    return node.head.text + node.templateSpans.map((span) => `…${span.literal.text}`).join("");
  }
  if (ts.isConditionalExpression(node)) {
    return [wordsOf(node.whenTrue), wordsOf(node.whenFalse)].filter((words) => words !== "").join(" / ");
  }
  if (ts.isBinaryExpression(node)) return wordsOf(node.left) + wordsOf(node.right);
  return "";
}
