// Masks and row filters while the worker is killed again and again: what is hidden is nowhere on the bus, what is filtered
// is absent, and all else is there once, in order.

import { createHmac } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Random } from "../support/bus/scripted-bus.ts";
import { readStream } from "../support/bus/stream-events.ts";
import { FaultGround, seedOf } from "../support/fault-ground.ts";
import { WorkerProcess } from "../support/process/worker-process.ts";
import { type Database, missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const KILLS = Number(process.env.KILLS ?? 6);
const KEY = "the-mask-key-of-this-test";
/** Stands in every value that must not leave. */
const HIDDEN = "clear-7f3a";
const MAX_ROW_BYTES = 1024 * 1024;

const PERSON = `create table person(id bigint primary key, tenant int, email text, card text, note text, secret text);
  alter table person replica identity full`;

interface Person {
  readonly id: number;
  readonly tenant: number;
  readonly version: number;
}

const cardOf = ({ id, version }: Person): string => `${HIDDEN}-card-${1000 + ((id + version) % 9000)}`;
const emailOf = ({ id, version }: Person): string => `${HIDDEN}-${id}-${version}@example`;

/** As it must arrive. */
const shown = (person: Person): Readonly<Record<string, unknown>> => ({
  id: String(person.id),
  tenant: person.tenant,
  email: createHmac("sha256", KEY).update(emailOf(person)).digest("hex"),
  card: `***${cardOf(person).slice(-4)}`,
  note: "[masked]",
});

type Expected = readonly [op: string, before?: unknown, after?: unknown];

/** What an update or delete is under the filter `tenant = 1`. */
function filtered(before: Person | undefined, after: Person | undefined): readonly Expected[] {
  const was = before?.tenant === 1 ? shown(before) : null;
  const is = after?.tenant === 1 ? shown(after) : null;
  if (was !== null && is !== null) return [["updated", was, is]];
  if (was !== null) return [["deleted", was, null]];
  return is === null ? [] : [["created", null, is]];
}

/** One writer, so that its own account is in commit order; resolves to that when it is told to stop. */
async function write(database: Database, random: Random, signal: AbortSignal): Promise<readonly Expected[]> {
  const client = await database.connect();
  const people = new Map<number, Person>();
  const expected: Expected[] = [];
  const values = (person: Person): readonly unknown[] => [
    person.id,
    person.tenant,
    emailOf(person),
    cardOf(person),
    `${HIDDEN}-note`,
    `${HIDDEN}-secret`,
  ];
  let next = 0;
  const change = async (): Promise<readonly Expected[]> => {
    const tenant = 1 + random.below(2);
    const old = people.get(random.below(next + 1));
    if (old === undefined || random.chance(0.3)) {
      const person = { id: next++, tenant, version: 0 };
      const large = random.chance(0.02);
      const [id, , email, card, note, secret] = values(person);
      const row = [id, tenant, email, card, note, large ? String(secret).repeat(100_000) : secret];
      await client.query("insert into person values ($1, $2, $3, $4, $5, $6)", row);
      if (!large) people.set(person.id, person);
      return large && tenant === 1 ? [["poison"]] : large ? [] : filtered(undefined, person);
    }
    if (random.chance(0.3)) {
      await client.query("delete from person where id = $1", [old.id]);
      people.delete(old.id);
      return filtered(old, undefined);
    }
    const person = { ...old, tenant, version: old.version + 1 };
    const [id, , email, card] = values(person);
    await client.query("update person set tenant = $2, email = $3, card = $4 where id = $1", [id, tenant, email, card]);
    people.set(person.id, person);
    return filtered(old, person);
  };
  while (!signal.aborted) {
    await client.query("begin");
    for (let left = 1 + random.below(4); left > 0; left--) expected.push(...(await change()));
    await client.query("commit");
    await delay(random.below(5));
  }
  await client.end();
  return expected;
}

/** What the bus has on its disk: streams, buckets, objects, its own log. */
async function onDisk(directory: string): Promise<Buffer> {
  const files = await readdir(directory, { recursive: true, withFileTypes: true });
  const contents = files.filter((file) => file.isFile()).map((file) => readFile(join(file.parentPath, file.name)));
  return Buffer.concat(await Promise.all(contents));
}

describe.skipIf(missing("postgres", "nats"))("what is masked, left out or filtered", () => {
  test(`stays so through ${KILLS} kills of the worker, and the rest is exact`, async () => {
    const random = new Random(seedOf("hidden values"));
    await using ground = await FaultGround.start();
    await ground.database.query(PERSON);
    const mask = { email: "hash", card: { partial: 4 }, note: { constant: "[masked]" } };
    const person = { match: "public.person", where: "tenant = 1", columns: { exclude: ["secret"] }, mask };
    const tables = ["public.final", person];
    const configuration = ground.configuration({ tables, maskKey: { env: "MASK_KEY" }, maxRowBytes: MAX_ROW_BYTES });
    let worker = await WorkerProcess.start(configuration, { env: { MASK_KEY: KEY } });
    await worker.logged("source_started");
    const stopping = new AbortController();
    const writing = write(ground.database, random, stopping.signal);

    for (let left = KILLS; left > 0; left--) {
      const { lastSeq } = await ground.state();
      await waitFor(async () => (await ground.state()).lastSeq > lastSeq + 100, { what: "events" });
      await delay(random.below(300));
      await worker.kill();
      worker = await worker.again();
    }
    stopping.abort();
    const expected = await writing;
    await ground.caughtUp();
    expect(await worker.stop()).toBe(0);

    const got = (await readStream(ground.nats.url, "CDC_SHOP"))
      .filter(({ subject }) => subject.startsWith("cdc.shop.public.person.") || subject === "meta.shop.poison")
      .map(({ subject, text }): Expected => {
        const { op, before, after } = JSON.parse(text) as Record<string, unknown>;
        return subject.startsWith("meta.") ? ["poison"] : [String(op), before, after];
      });
    const same = (nth: number): boolean => JSON.stringify(got[nth]) === JSON.stringify(expected[nth]);
    const wrong = expected.findIndex((_, nth) => !same(nth));
    const from = wrong < 0 ? expected.length : wrong;
    console.error(
      `${expected.length} events expected, ${expected.filter(([op]) => op === "poison").length} of them poison`,
    );
    expect(got.slice(from, from + 3)).toEqual(expected.slice(from, from + 3));
    expect(new Set(expected.map(([op]) => op))).toEqual(new Set(["created", "updated", "deleted", "poison"]));

    await ground.nats.stop();
    const disk = await onDisk(ground.nats.dataDir);
    expect(disk.includes("[masked]")).toBe(true); // it is looked through as it is
    expect([disk.includes(HIDDEN), worker.log().includes(HIDDEN)]).toEqual([false, false]);
  });
});
