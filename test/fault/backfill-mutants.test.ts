// Rules of a copy, each taken away from a copy of our source: random schedules must find it.

import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { type Mutation, mutate } from "../support/mutant.ts";
import { type Copying, runCopy } from "../support/source/copy-schedule.ts";

const owed = "backfill/owed-rows.ts";
const batch = "backfill/slice-batch.ts";
const held = "backfill/held-slice.ts";
const inHand = "backfill/slices-in-hand.ts";

interface Rule extends Mutation {
  readonly small?: boolean;
}

const one = (name: string, file: string, find: string, replace: string, small = false): Rule => ({
  ...{ name, small },
  edits: [{ file, find, replace }],
});

const mutants: readonly Rule[] = [
  one(
    "a row that moved behind the copy is not owed",
    owed,
    "else if (moving?.isWhole !== true) this.#owe(key, change);",
    "",
  ),
  one(
    "a checkpoint passes what is owed",
    owed,
    "if (!this.#isKept || noted <= this.#stored) return undefined;",
    "if (noted >= 0) return undefined;",
  ),
  one(
    "changes that a marker knew are looked at again",
    owed,
    "comparePlace({ partition, position }, this.#known) <= 0",
    "comparePlace({ partition, position }, this.#known) < -1",
  ),
  one("a row that was left out is not owed", batch, "this.#added = took.owed;", ""),
  one(
    "more than a marker holds is forgotten",
    owed,
    "    this.#clear();\n    this.#isOverflowed = true;",
    "    this.#clear();",
    true,
  ),
  one("a row stays though a newer change is there", held, "this.#rows.set(key, undefined);\n", "\n"),
  one("what is handed out while a slice is read is not noted", held, "this.#noted.set(key, change);", ""),
  one("a slice that is read ahead is shown no change", inHand, "this.#ahead?.held.handedOut(messages);", ""),
  one(
    "a slice that was read ahead follows one that is not stored whole",
    "backfill/backfill.ts",
    "if (!(yield* this.#batches(inHand, order, signal))) return;",
    "yield* this.#batches(inHand, order, signal);",
  ),
  one("an emptied collection leaves its rows", held, "this.#rows.clear();", ""),
  one("a row that moves is always whole", owed, "const isWhole = this.#isBehindAll &&", "const isWhole = true ||"),
  one(
    "it is done though rows are owed",
    "backfill/progress.ts",
    "after === null && owed.length === 0 && again !== true",
    "after === null && owed.length >= 0",
  ),
];

const first = Number(process.env.SEED ?? 1);
/** The slowest is found after 277. */
const most = 400;

test.each(mutants)("$name: random schedules find it", async ({ small = false, ...mutation }) => {
  const src = await mutate(mutation);
  const load = (file: string): Promise<Partial<Copying>> => import(pathToFileURL(join(src, file)).href);
  const modules = await Promise.all(["backfill/backfill.ts", "backfill/owed-since.ts"].map(load));
  const copying = Object.assign({}, ...modules) as Copying;
  let found: string | undefined;
  let seed = first;
  for (; seed < first + most && found === undefined; seed++)
    found = await runCopy(copying, { seed, small, plain: true });
  console.error(`${mutation.name}: after ${seed - first} schedules: ${found}`);
  expect(found).toBeDefined();
});
