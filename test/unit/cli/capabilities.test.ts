// A command on a source whose kind cannot do what it needs: an error that names the kind, and those that can.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { dropSlot } from "../../../src/cli/command/slots.ts";
import { removeSource } from "../../../src/cli/command/source-remove.ts";
import { sql } from "../../../src/cli/command/sql.ts";
import { types } from "../../../src/cli/command/types.ts";
import { verify } from "../../../src/cli/command/verify.ts";
import { realClock } from "../../../src/clock.ts";
import { connectors } from "../../../src/connectors.ts";
import type { Connector } from "../../../src/source/connector.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { ScriptedDatabase, scriptedDatabases } from "../../support/source/scripted-database.ts";
import { scriptedConnector } from "../../support/source/scripted-source.ts";

const never = (): never => expect.unreachable();
const known = connectors as Map<string, Connector<unknown>>;
let config: string;

// It has all that a connector must have, and none of what it may have.
beforeAll(async () => {
  known.set("scripted", scriptedConnector as Connector<unknown>);
  scriptedDatabases.set("books", new ScriptedDatabase("books", realClock));
  const directory = await mkdtemp(join(tmpdir(), "millrace-capabilities-"));
  config = join(directory, "millrace.config.json");
  await writeFile(config, JSON.stringify({ sources: { books } }));
  return () => rm(directory, { recursive: true });
});
afterAll(() => known.delete("scripted"));

const books = { kind: "scripted", database: "books" };
const { signal } = new AbortController();
const print = never;
const base = { source: "books", json: false, yes: true, signal, print, log: silentLogger };
const commands: readonly (readonly [string, () => Promise<unknown>])[] = [
  ["source remove", () => removeSource({ ...base, config, stream: false })],
  ["sql role", () => sql({ ...base, config, what: "role" })],
  ["types", () => types({ ...base, config, out: "nowhere", check: false })],
  ["types of all", () => types({ config, out: "nowhere", check: false, print })],
  ["verify --tables", () => verify({ ...base, config, tables: true })],
  ["slots drop", () => dropSlot({ ...base, config, name: "millrace_books" })],
];

test.each(commands)("%s says that the source's kind cannot do it, which can, and what to do", async (_, run) => {
  await expect(run()).rejects.toMatchObject({
    name: "ConfigError",
    code: "CAPABILITY_MISSING",
    message: expect.stringMatching(/^the source books is of the kind scripted, which (?:cannot|has no) [a-z ]+$/),
    hint: expect.stringMatching(/^Kinds that (?:can|have): postgres(?:, mongodb)?(?:, dynamodb)?\. [A-Z].+\.$/),
  });
});

test("where some can, the others are left out of a command on all sources", async () => {
  known.set("able", { ...scriptedConnector, kind: "able", describeCollections: async () => [] } as Connector<unknown>);
  onTestFinished(() => void known.delete("able"));
  const both = `${config}.both.json`;
  await writeFile(both, JSON.stringify({ sources: { books, shelf: { ...books, kind: "able" } } }));
  const lines: string[] = [];
  const listed = async (line: string): Promise<void> => void lines.push(line);

  expect(await types({ config: both, out: "nowhere", check: true, print: listed })).toBe(false);
  expect(lines.filter((line) => line.includes("is missing"))).toEqual([
    "nowhere/shelf.ts is missing",
    "nowhere/shelf.schema.json is missing",
  ]);
});
