// The bus loses messages that it had acknowledged: an older copy of a real server's store is put back under load, or the
// stream is deleted. Nothing may be missing at the end, no number may mean two things, and where the database cannot go
// back any more the source stops and says so.

import { resolve } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { startWorker, type Worker } from "../../src/app.ts";
import { automation } from "../../src/automation/define/automation.ts";
import { collection } from "../../src/automation/define/collection.ts";
import { HistoryLostError } from "../../src/errors.ts";
import { readStream, type StreamEvent } from "../support/bus/stream-events.ts";
import { FaultGround, seedOf } from "../support/fault-ground.ts";
import { loadWorker, mutate } from "../support/mutant.ts";
import { RecordedLog } from "../support/postgres/recorded-log.ts";
import { missing } from "../support/servers.ts";
import { waitFor } from "../support/wait-for.ts";

const timing = { idleCheckMs: 500, leaseTtlMs: 2_000, maxAwayMs: 3_000 };

interface Observed extends AsyncDisposable {
  readonly worker: Worker;
  readonly log: RecordedLog;
  /** Ids of the events that the automation handled. */
  readonly handled: ReadonlySet<string>;
}

async function observe(ground: FaultGround, fsync: string, start: typeof startWorker = startWorker): Promise<Observed> {
  const handled = new Set<string>();
  const log = new RecordedLog();
  const seen = automation(
    "seen",
    { on: collection<unknown>("shop", "public.item").created(), start: "earliest", concurrency: 50 },
    ({ event }) => {
      handled.add(event.id);
    },
  );
  const configuration = { ...ground.configuration({ fsync }), automations: [seen] };
  const worker = await start(configuration, { log, timing });
  worker.finished.catch(() => {}); // the test that waits for it sees it
  await waitFor(() => log.count("source_started") > 0, { what: "the source to be read" });
  return { worker, log, handled, [Symbol.asyncDispose]: () => worker.stop() };
}

/** Waits until the automation has handled every event of the stream that is for it. */
async function allHandled(ground: FaultGround, { handled }: Observed): Promise<void> {
  const events = await readStream(ground.nats.url, "CDC_SHOP");
  const wanted = events.filter(({ subject }) => subject.startsWith("cdc.shop.public.item.created."));
  const missed = (): boolean => wanted.some((event) => !handled.has(event.header("ce-id") ?? ""));
  await waitFor(() => !missed(), { what: "the automation to have handled every created row" });
}

/** Numbers of `before` that mean something else in `after`; the filling of a lost number means nothing. */
function usedTwice(before: readonly StreamEvent[], after: readonly StreamEvent[]): readonly number[] {
  const now = new Map(after.map((event) => [event.sequence, event]));
  return before
    .filter((event) => {
      const other = now.get(event.sequence);
      return (
        other !== undefined && other.subject !== "meta.shop.lost" && other.header("ce-id") !== event.header("ce-id")
      );
    })
    .map(({ sequence }) => sequence);
}

function source({ worker }: Observed): ReturnType<Worker["status"]>["sources"][number] {
  const status = worker.status().sources[0];
  if (status === undefined) throw new Error("the worker has no source");
  return status;
}

/**
 * Puts back an older copy of the store while writers write; resolves to what the stream held right before the loss.
 * @param acknowledged whether the database must have been told of what is lost
 */
async function losePowerUnderLoad(
  ground: FaultGround,
  observed: Observed,
  { acknowledged }: { readonly acknowledged: boolean },
): Promise<readonly StreamEvent[]> {
  await ground.copyStore();
  // Of more than one batch: the tail may stand inside it, and the lost numbers do not fit into one.
  await ground.database.query("insert into item(id, sub) select -i, 0 from generate_series(1, 2500) i");
  const told = source(observed).acknowledged;
  const copied = source(observed).published;
  const handled = observed.handled.size;
  await waitFor(() => source(observed).published > copied + 200 && observed.handled.size > handled + 50, {
    what: "events stored and handled after the copy",
  });
  // Two: the first may have been under way.
  if (acknowledged) await waitFor(() => source(observed).acknowledged > told + 1, { what: "acknowledgements" });
  const before = await readStream(ground.nats.url, "CDC_SHOP");
  await ground.losePower();
  return before;
}

describe.skipIf(missing("postgres", "nats"))("acknowledged messages that the bus loses", () => {
  test("are published again under new numbers, and no automation misses an event", async () => {
    await using ground = await FaultGround.start({ sync: "5s" });
    await using observed = await observe(ground, "5s");
    await using load = ground.write(seedOf("store put back"));
    await waitFor(() => source(observed).acknowledged > 0, {
      what: "the database to be acknowledged",
      timeoutMs: 60_000,
    });

    const before = await losePowerUnderLoad(ground, observed, { acknowledged: false });
    await waitFor(() => observed.log.count("bus_messages_lost") > 0, {
      what: "the loss to be seen",
    });
    await load.stop();
    await ground.judge();

    const after = await readStream(ground.nats.url, "CDC_SHOP");
    const histories = after
      .filter(({ subject }) => subject === "meta.shop.history")
      .map(({ text }) => JSON.parse(text));
    const lost = histories.at(-1)?.lost;
    expect(lost).toMatchObject({ from: expect.any(Number), to: expect.any(Number) });
    expect(lost.to).toBeGreaterThanOrEqual(before.at(-1)?.sequence ?? 0);
    expect(usedTwice(before, after)).toEqual([]);
    await allHandled(ground, observed);
  });

  test.each([
    ["while it is written to", false],
    ["while nobody writes", true],
  ])(
    "with the whole stream, %s, are published again into a new one that begins above the old numbers",
    async (when, idle) => {
      await using ground = await FaultGround.start();
      await using observed = await observe(ground, "2m"); // nothing is acknowledged within this test
      await using load = ground.write(seedOf(`stream deleted ${when}`));
      await waitFor(() => observed.handled.size > 50, { what: "events to be handled" });
      if (idle) {
        await load.stop();
        await ground.caughtUp();
      }

      const before = await readStream(ground.nats.url, "CDC_SHOP");
      await ground.withStreams(({ streams }) => streams.delete("CDC_SHOP"));
      await waitFor(() => observed.log.count("bus_messages_lost") > 0, {
        what: "the loss to be seen",
      });
      await load.stop();
      await ground.judge();

      const { firstSeq } = await ground.state();
      expect(firstSeq).toBeGreaterThan(before.at(-1)?.sequence ?? 0);
      await allHandled(ground, observed);
    },
  );

  test.each([
    [
      "its store",
      (ground: FaultGround, observed: Observed) => losePowerUnderLoad(ground, observed, { acknowledged: true }),
    ],
    ["its stream", (ground: FaultGround) => ground.withStreams(({ streams }) => streams.delete("CDC_SHOP"))],
  ])("stop the source with SLOT_ADVANCED when the bus said it was durable and loses %s", async (what, lose) => {
    await using ground = await FaultGround.start({ sync: "2m" });
    await using observed = await observe(ground, "always");
    await using load = ground.write(seedOf(`durable, and loses ${what}`));
    await waitFor(() => source(observed).acknowledged > 1 && source(observed).published > 200, {
      what: "the database to be acknowledged",
    });

    await lose(ground, observed);
    const end = await observed.worker.finished.catch((error: unknown) => error);
    await load.stop();

    expect(end).toBeInstanceOf(HistoryLostError);
    expect(end).toMatchObject({ code: "SLOT_ADVANCED" });
    expect(source(observed)).toMatchObject({ state: "stopped", reason: { code: "SLOT_ADVANCED" } });
    expect(observed.worker.status().parts.find(({ kind }) => kind === "source")).toMatchObject({ ready: false });
    await observed.worker.stop();

    // The way out that the error names.
    const log = new RecordedLog();
    const adopting = await startWorker(ground.configuration(), { log, timing, adopt: true, automations: [] });
    onTestFinished(() => adopting.stop());
    await ground.settled();
    const events = await readStream(ground.nats.url, "CDC_SHOP");
    expect(events.filter(({ subject }) => subject === "meta.shop.gap")).toHaveLength(1);
    expect(log.count("source_gap")).toBe(1);
  });

  // A worker that lives through it knows its slot, and says so once more to the bus: test/property/publish-protocol.test.ts.
  test("with all that was known of the slot stop a worker that starts behind that with SLOT_UNKNOWN", async () => {
    await using ground = await FaultGround.start({ sync: "2m" });
    await ground.copyStore();
    const observed = await observe(ground, "2m");
    await observed.worker.stop();

    await ground.losePower();

    const worker = await startWorker(ground.configuration({ fsync: "2m" }), { log: new RecordedLog(), timing });
    onTestFinished(() => worker.stop());
    await expect(worker.finished).rejects.toMatchObject({ code: "SLOT_UNKNOWN" });
    expect(worker.status().parts.find(({ kind }) => kind === "source")).toMatchObject({ ready: false });
  });

  test("are missing at the end when the source is acknowledged at the PubAck", async () => {
    const mutant = await mutate({
      name: "acknowledged at the PubAck, whole",
      edits: [
        {
          file: "bus/jetstream/lease/horizon.ts",
          find: 'if (this.#fsync === "always") return true;',
          replace: "return true;",
        },
      ],
    });
    await using ground = await FaultGround.start({ sync: "5s" });
    await using observed = await observe(ground, "5s", await loadWorker(resolve(mutant)));
    await using load = ground.write(seedOf("acknowledged at the PubAck"));
    await waitFor(() => source(observed).acknowledged > 0 && source(observed).published > 200, {
      what: "the database to be acknowledged",
    });

    await losePowerUnderLoad(ground, observed, { acknowledged: true });
    const end = await observed.worker.finished.catch((error: unknown) => error);
    await load.stop();

    expect(end).toMatchObject({ code: "SLOT_ADVANCED" });
  });
});
