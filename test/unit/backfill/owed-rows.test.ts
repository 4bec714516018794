// Rows that must be read once more, step by step: what the markers of a copy owe while changes come between any two of its steps.

import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { Backfill } from "../../../src/backfill/backfill.ts";
import type { Order } from "../../../src/backfill/order.ts";
import type { Progress } from "../../../src/backfill/progress.ts";
import type { Position } from "../../../src/event/position.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Op } from "../../../src/event/subject.ts";
import type { CopyBatch, CopyTarget, RowCopier, Slice, SliceRequest } from "../../../src/source/capabilities.ts";
import type { SourceMessage } from "../../../src/source/source.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { copiedRow } from "../../support/bus/copied-rows.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const order: Order = { backfill: 1, state: "running", by: "a test", at: "2026-01-02T03:04:05Z" };

/** A change of one transaction; `more` is of its body. */
function change(transaction: number, op: Op, key: string, more: object = {}): SourceMessage {
  return {
    ...{
      type: "change",
      kind: { namespace: "public", collection: "orders", op, version: undefined },
      key,
      lane: "p00",
    },
    transaction: { id: `${transaction}`, time: "2026-01-02T03:04:05Z", lineage: undefined },
    position: `${transaction}`.padStart(8, "0") as Position,
    data: Buffer.from(JSON.stringify({ op, ...more })),
  };
}

const UNCHANGED = { unchanged: ["doc"] };

interface Asked {
  readonly request: SliceRequest;
  readonly give: (slice: Slice) => void;
}

/** A copy that does one step when it is told to. */
class Steps {
  readonly #backfill: Backfill;
  readonly #batches: AsyncGenerator<CopyBatch, void>;
  readonly #asked: Asked[] = [];
  #next: Promise<IteratorResult<CopyBatch, void>> | undefined;
  target: CopyTarget = { id: "16384", namespace: "public", collection: "orders" };

  constructor() {
    const copier: RowCopier = {
      targets: async () => [this.target],
      readSlice: (request) => new Promise((give) => this.#asked.push({ request, give })),
    };
    this.#backfill = new Backfill(
      {
        ...{ source: "shop" as SourceId, copier, clock: new VirtualClock(), log: silentLogger, maxMessageBytes: 1e6 },
        order: async () => order,
      },
      undefined,
    );
    this.#batches = this.#backfill.read({ signal: new AbortController().signal });
  }

  /** The batch before is stored, and the next one asked for. */
  stored(): void {
    this.#next = this.#batches.next();
  }

  hand(...messages: readonly SourceMessage[]): void {
    this.#backfill.handedOut(messages);
  }

  /** What the copier is asked for now. */
  async asked(): Promise<SliceRequest> {
    for (let tries = 0; tries < 100 && this.#asked.length === 0; tries++) await turn();
    return (this.#asked[0] as Asked).request;
  }

  /** The copier's answer, of a moment that shows transactions up to one. */
  async read(keys: readonly string[], seen: number, isLast: boolean): Promise<void> {
    await this.asked();
    this.#asked.shift()?.give({
      ...{ rows: keys.map((key) => copiedRow(key)), after: (nth) => ({ key: keys[nth] }), isLast, readsKeys: true },
      ...{ version: undefined, notBefore: new Map(), includes: ({ transaction }) => Number(transaction) <= seen },
    });
  }

  /** The batch that waits, as it is sent. */
  async sent(): Promise<{ readonly rows: readonly string[]; readonly at: Progress["at"] }> {
    const { value } = (await this.#next) as { readonly value: CopyBatch };
    const rows = value.rows().map(({ key }) => key);
    return { rows, at: value.progress.at as Progress["at"] };
  }

  /** Its first marker is stored, and the first slice asked for. */
  static async begun(): Promise<Steps> {
    const steps = new Steps();
    steps.stored();
    await steps.sent();
    steps.stored();
    return steps;
  }
}

test("a collection is not complete between the two halves of a changed key: the first is owed until the second comes", async () => {
  const copy = await Steps.begun();
  await copy.read(["a", "k"], 0, true);
  copy.hand(change(1, "deleted", "k", { movedTo: "m" }));
  const last = await copy.sent();
  copy.stored();
  copy.hand(change(1, "created", "m", { ...UNCHANGED, movedFrom: "k" }));
  const { keys } = await copy.asked();
  await copy.read(["m"], 1, true);
  const again = await copy.sent();

  expect(last).toMatchObject({ rows: ["a"], at: { after: null, owed: ["k"] } });
  expect([keys, again.rows, again.at?.owed]).toEqual([["m"], ["m"], undefined]);
});

test("what is owed for a change that a slice does not show is not settled by its not being there", async () => {
  const copy = await Steps.begun();
  await copy.read(["a", "k"], 0, true);
  copy.hand(change(1, "updated", "k", UNCHANGED));
  const left = await copy.sent();
  copy.stored();
  await copy.asked();
  copy.hand(change(2, "deleted", "k"), change(3, "created", "k", UNCHANGED));
  await copy.read([], 2, true);
  const gone = await copy.sent();

  expect(left).toMatchObject({ rows: ["a"], at: { after: null, owed: ["k"] } });
  expect(gone).toMatchObject({ rows: [], at: { after: null, owed: ["k"] } });
});

test("a row that is on its way and made anew meanwhile is owed again", async () => {
  const copy = await Steps.begun();
  await copy.read(["a", "k"], 0, false);
  copy.hand(change(1, "updated", "k", UNCHANGED));
  await copy.sent();
  copy.stored();
  const { keys } = await copy.asked();
  await copy.read(["k"], 1, true);
  const again = await copy.sent();
  copy.hand(change(2, "deleted", "k"));
  copy.hand(change(3, "deleted", "x", { movedTo: "k" }), change(3, "created", "k", { ...UNCHANGED, movedFrom: "x" }));
  copy.stored();
  await copy.read(["z"], 3, true);
  const next = await copy.sent();

  expect(keys).toEqual(["k"]);
  expect(again).toMatchObject({ rows: ["k"], at: { after: { key: "k" } } });
  expect(again.at?.owed).toBeUndefined();
  expect(next).toMatchObject({ rows: ["z"], at: { after: null, owed: ["k"] } });
});

test("what is owed of a collection is owed also once it has another name", async () => {
  const copy = await Steps.begun();
  await copy.read(["a", "k"], 0, false);
  await copy.sent();
  copy.stored();
  copy.hand(change(1, "created", "b", UNCHANGED));
  copy.target = { ...copy.target, collection: "purchases" };

  expect((await copy.asked()).keys).toEqual(["b"]);
});
