// What the pages give for mongosh is JavaScript that can be read, and asks for no command of another server.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Script } from "node:vm";
import { expect, test } from "vitest";

const docs = fileURLToPath(new URL("../../../docs/", import.meta.url));
const blocks = readdirSync(docs, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".md"))
  .flatMap((name) => {
    const found = [...readFileSync(`${docs}${name}`, "utf8").matchAll(/```js\n(.*?)```/gs)];
    return found.map(([, text = ""], nth) => [`docs/${name}, block ${nth + 1}`, text] as const);
  })
  .filter(([, text]) => /\bdb\./.test(text));

test("there are some", () => {
  expect(blocks.length).toBeGreaterThan(2);
});

test.each(blocks)("%s", (_, text) => {
  expect(() => new Script(text)).not.toThrow();
});
