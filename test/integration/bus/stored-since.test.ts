// What a real nats-server is asked of messages that were stored before a crash, and how often.

import { type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection, nanos } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { MSG_ID, StoredSince } from "../../../src/bus/jetstream/client/stored-since.ts";
import { freshNats, missing } from "../../support/servers.ts";

const LETTERS = "LETTERS";
const subject = "letters.mail";
const count = 40;
const ids: readonly string[] = Array.from({ length: count }, (_, nth) => `letter-${nth}`);

describe.skipIf(missing("nats"))("what was stored before a crash", () => {
  let nc: NatsConnection;
  let watching: NatsConnection;
  let jsm: JetStreamManager;
  let requests = 0;
  let url: string;

  beforeAll(async () => {
    ({ url } = await freshNats());
    nc = await connect({ servers: url });
    watching = await connect({ servers: url });
    jsm = await jetstreamManager(nc);
    watching.subscribe(`$JS.API.STREAM.MSG.GET.${LETTERS}`, {
      callback: () => {
        requests++;
      },
    });
    await watching.flush();
  });

  beforeEach(async () => {
    await jsm.streams.delete(LETTERS).catch(() => {});
    await made();
  });

  afterAll(async () => {
    await watching?.close();
    await nc?.close();
  });

  const made = () => jsm.streams.add({ name: LETTERS, subjects: ["letters.>"], duplicate_window: nanos(100) });

  async function store(some: readonly string[], to: string = subject): Promise<void> {
    for (const id of some) {
      const lines = headers();
      lines.set(MSG_ID, id);
      await jetstream(nc).publish(to, id, { headers: lines });
    }
  }

  async function asked(look: () => Promise<unknown>): Promise<number> {
    await watching.flush();
    const before = requests;
    await look();
    await watching.flush();
    return requests - before;
  }

  const seqs = (earlier: StoredSince, some: readonly string[], since: number): Promise<(number | undefined)[]> =>
    Promise.all(some.map(async (id) => (await earlier.find({ subject, id, since }))?.seq));

  test("is looked through once for all that were in hand, at once and one after another", async () => {
    const began = Date.now();
    await store(ids);
    const earlier = new StoredSince(jsm, LETTERS);
    const absent = ids.map((id) => `not-${id}`);
    let found: unknown;
    const cost = await asked(async () => {
      found = await seqs(earlier, [...ids, ...absent], began);
      for (const id of [...ids, ...absent]) await earlier.find({ subject, id, since: began - 1 });
    });

    expect(found).toEqual([...ids.map((_, nth) => nth + 1), ...absent.map(() => undefined)]);
    expect(cost).toBeLessThan(count + 4 * (4 * count)); // letter by letter for each, it is 4,000
  });

  test("is found behind what was looked through before, and not where it was taken away since", async () => {
    const began = Date.now();
    const earlier = new StoredSince(jsm, LETTERS);
    expect(await seqs(earlier, ["a", "b"], began)).toEqual([undefined, undefined]);
    await store(["a", "b", "c"]);
    expect(await seqs(earlier, ["a", "b"], began)).toEqual([1, 2]);
    await jsm.streams.deleteMessage(LETTERS, 1);
    await jsm.streams.deleteMessage(LETTERS, 3);
    await store(["d"]);

    expect(await seqs(earlier, ["a", "b", "c", "d"], began)).toEqual([undefined, 2, undefined, 4]);
  });

  test("counts as gone where the stream was made again since, and its numbers are others'", async () => {
    const began = Date.now();
    const earlier = new StoredSince(jsm, LETTERS);
    await store(["a", "b", "c"]);
    expect(await seqs(earlier, ["a", "b", "c"], began)).toEqual([1, 2, 3]);
    await jsm.streams.delete(LETTERS);
    expect(await seqs(earlier, ["a"], began)).toEqual([undefined]);
    await made();
    await store(["x", "c", "y", "z"]);

    expect(await seqs(earlier, ["a", "b", "c", "x"], began)).toEqual([undefined, undefined, 2, 1]);
  });

  test("is found by its subject alone, and not where it was stored long before", async () => {
    const earlier = new StoredSince(jsm, LETTERS);
    await store(["a"]);
    await store(["b"], "letters.other");
    const inAnHour = Date.now() + 3_600_000;

    expect(await seqs(earlier, ["a", "b"], Date.now())).toEqual([1, undefined]);
    expect(await seqs(earlier, ["a"], inAnHour)).toEqual([undefined]);
    expect(await seqs(earlier, ["a"], Date.now())).toEqual([1]);
  });

  test("is found also where there is no room to remember what was looked through", async () => {
    const began = Date.now();
    const earlier = new StoredSince(jsm, LETTERS, 500);
    await store(ids);
    await store(["o"], "letters.other");
    for (const round of [1, 2]) {
      expect(await seqs(earlier, [...ids, "none"], began), `round ${round}`).toEqual([
        ...ids.map((_, nth) => nth + 1),
        undefined,
      ]);
      expect((await earlier.find({ subject: "letters.other", id: "o", since: began }))?.seq).toBe(count + 1);
    }
    await store(["last"]);

    expect(await seqs(earlier, ["last", "letter-3"], began)).toEqual([count + 2, 4]);
  });

  test("is told to each who asks where the bus does not answer", async () => {
    const shortLived = await connect({ servers: url });
    const earlier = new StoredSince(await jetstreamManager(shortLived, { checkAPI: false }), LETTERS);
    await shortLived.close();
    const finding = seqs(earlier, ["a", "b"], Date.now());

    await expect(finding).rejects.toThrow();
    await expect(seqs(earlier, ["a"], Date.now())).rejects.toThrow();
  });
});
