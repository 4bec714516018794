// `npm run check`: every link between the documents leads somewhere, and each page that is mentioned can be clicked.

import { existsSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { globSync } from "tinyglobby";

/** Pages from which every other one can be reached. */
const START = ["README.md"];

const MENTION = /(?<![\w/.@-])((?:[\w-]+\/)*[\w-]+\.md)\b/g;

/** What is wrong in the documents below a folder, a line each: `file:line: what`. */
export function brokenLinks(root: string): readonly string[] {
  const files = globSync(["*.md", "docs/**/*.md", "examples/**/*.md", "docker/**/*.md"], { cwd: root })
    .filter((file) => !file.includes("node_modules"))
    .sort();
  const pages = new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")]));
  const wrong: string[] = [];
  const leadsTo = new Map<string, string[]>();
  for (const [file, text] of pages) {
    const targets: string[] = [];
    for (const { line, text: prose } of proseOf(text)) {
      for (const [, target = ""] of prose.matchAll(/\]\(([^()\s]+(?:\([^()]*\))?)\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        const [path = "", anchor] = target.split("#");
        const page = path === "" ? file : posix.normalize(posix.join(posix.dirname(file), path));
        targets.push(page);
        if (!existsSync(join(root, page))) wrong.push(`${file}:${line}: there is no ${page}`);
        else if (anchor !== undefined && !anchorsOf(pages.get(page) ?? "").has(anchor)) {
          wrong.push(`${file}:${line}: ${page} has no heading #${anchor}`);
        }
      }
      // What is left without links and code.
      const bare = prose.replace(/\[[^\]]*\]\([^)]*\)/g, "").replace(/`[^`]*`/g, "");
      for (const [mention] of bare.matchAll(MENTION)) {
        wrong.push(`${file}:${line}: ${mention} is mentioned and cannot be clicked`);
      }
    }
    leadsTo.set(file, targets);
  }
  const reached = new Set(START);
  for (const page of reached) for (const next of leadsTo.get(page) ?? []) reached.add(next);
  for (const file of files) if (!reached.has(file)) wrong.push(`${file}:1: no link from ${START} leads here`);
  return wrong;
}

/** The lines outside of code blocks, with their numbers. */
function proseOf(text: string): readonly { readonly line: number; readonly text: string }[] {
  let fenced = false;
  return text.split("\n").flatMap((line, index) => {
    if (/^\s*```/.test(line)) fenced = !fenced;
    else if (!fenced) return [{ line: index + 1, text: line }];
    return [];
  });
}

/** The anchors that a page's headings get where its repository is shown, and those that it names itself. */
function anchorsOf(page: string): ReadonlySet<string> {
  const headings = proseOf(page).flatMap(({ text }) => /^#+ (.+)$/.exec(text)?.[1] ?? []);
  const named = [...page.matchAll(/<a id="([^"]+)">/g)].map(([, id = ""]) => id);
  return new Set([...headings.map(slug), ...named]);
}

function slug(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const wrong = brokenLinks(root);
  for (const line of wrong) console.error(line);
  if (wrong.length > 0) process.exitCode = 1;
  else console.log(`links: ${relative(process.cwd(), root) || "."} is right`);
}
