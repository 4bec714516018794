// What must hold of the decoder for any log: the order of ids, the same events however frames arrive, typed errors.

import fc from "fast-check";
import { expect, test } from "vitest";
import { BugError } from "../../src/errors.ts";
import { lineageText } from "../../src/event/lineage.ts";
import { bare } from "../../src/event/position.ts";
import type { SourceId } from "../../src/event/source-id.ts";
import { JsonWriter } from "../../src/source/json-writer.ts";
import { unknownTable } from "../../src/source/postgres/client/catalog.ts";
import { boundaryBefore } from "../../src/source/postgres/client/position.ts";
import { Decoder } from "../../src/source/postgres/decode/decoder.ts";
import { decodeStream } from "../../src/source/postgres/decode/stream.ts";
import { RuleBook } from "../../src/source/postgres/options/rule-book.ts";
import { NO_RULES } from "../../src/source/postgres/options/table-rules.ts";
import { FrameQueue } from "../../src/source/postgres/replication/frame-queue.ts";
import type { ReplicationTransport } from "../../src/source/postgres/replication/transport.ts";
import { type EncodedMessage, encoded } from "../support/bus/encoded.ts";
import { asTold, decodeFrames, knownVersion } from "../support/postgres/decode-frames.ts";
import {
  begin,
  commit,
  insert,
  keepalive,
  message,
  relation,
  update,
  type Value,
} from "../support/postgres/pgoutput-frames.ts";

const TABLE = relation(1, "orders", [{ name: "id", key: true }, { name: "note" }]);

const LINEAGE = lineageText({ correlationId: "1", causationId: "2", hops: 1, automation: "a", trail: [] });
const READ = { messages: ["read"] };

/** Of a position: history and final LSN. */
const TRANSACTION = 21;

const value: fc.Arbitrary<Value> = fc.oneof(fc.string({ unit: "binary" }), fc.constant(null), fc.constant(undefined));
/** A row, or a logical message in its place; the worker reads some of those. */
const change = fc.oneof(
  { weight: 4, arbitrary: fc.record({ key: fc.string(), moves: fc.boolean(), note: value, sameLsn: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ prefix: fc.constantFrom("read", "aside", "millrace.lineage") }) },
);
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("transaction" as const), changes: fc.array(change) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("keepalive" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("message" as const), prefix: fc.constantFrom("read", "aside") }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** A log as a server writes it: a commit may end right where the next record begins. */
function logOf(steps: readonly Step[]): Buffer[] {
  let lsn = 0x1000n;
  const frames = [TABLE];
  for (const one of steps) {
    if (one.kind === "keepalive") frames.push(keepalive(lsn));
    if (one.kind === "message") {
      lsn += 0x30n;
      frames.push(message(lsn, { prefix: one.prefix }));
    }
    if (one.kind !== "transaction") continue;
    const rows = one.changes.map((changed) => {
      if (!("key" in changed)) {
        lsn += 0x40n;
        return message(lsn, { prefix: changed.prefix, transactional: true, content: LINEAGE });
      }
      const { key, moves, note, sameLsn } = changed;
      if (!sameLsn) lsn += 0x40n;
      return moves
        ? update(lsn, 1, [`${key}'`, note], { kind: "K", values: [key, null] })
        : insert(lsn, 1, [key, note]);
    });
    const final = lsn + 0x40n;
    lsn = final + 0x30n;
    frames.push(begin(final), ...rows, commit(final, lsn));
  }
  return frames;
}

const eventsOf = (messages: readonly EncodedMessage[]): EncodedMessage[] =>
  messages.filter(({ type }) => type !== "commit");

test("positions rise strictly, and end in + exactly at the end of a transaction", () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const positions = decodeFrames(logOf(steps), READ).map(({ position }) => position);

      expect(positions.map((position) => bare(position))).toEqual([...new Set(positions.map(bare))].sort());
      for (const [index, position] of positions.entries()) {
        const isLast = positions[index + 1]?.slice(0, TRANSACTION) !== position.slice(0, TRANSACTION);
        expect(position.endsWith("+")).toBe(isLast);
      }
    }),
  );
});

test("a restart at any position gives the events behind it, with the same ids", () => {
  fc.assert(
    fc.property(fc.array(step), fc.nat(), (steps, pick) => {
      const frames = logOf(steps);
      const all = eventsOf(decodeFrames(frames, READ));
      const at = all.length === 0 ? undefined : all[pick % all.length];
      const from = at?.position ?? boundaryBefore(1, 1n);

      const behind = all.slice(at === undefined ? 0 : all.indexOf(at) + 1);
      expect(eventsOf(decodeFrames(frames, { ...READ, from }))).toEqual(behind);
    }),
  );
});

test("frames give the same events in whatever portions they arrive", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step), fc.infiniteStream(fc.integer({ min: 1, max: 5 })), async (steps, portions) => {
      const frames = logOf(steps);
      const decoder = new Decoder({
        source: "shop" as SourceId,
        history: 1,
        from: boundaryBefore(1, 1n),
        rules: new RuleBook(() => NO_RULES),
        ...READ,
        outbox: undefined,
        lineageKey: "of the tests",
        onUnreadMessage: () => {},
      });
      const over = new Error("over");
      const transport = portioned(frames, portions, over);
      const received: EncodedMessage[] = [];
      const tables = { describe: async () => ({ description: unknownTable, version: knownVersion }) };
      const read = async (): Promise<void> => {
        for await (const chunk of decodeStream(transport, decoder, tables))
          received.push(...encoded("shop" as SourceId, asTold(chunk)));
      };

      await expect(read()).rejects.toBe(over);
      expect(eventsOf(received)).toEqual(eventsOf(decodeFrames(frames, READ)));
    }),
  );
});

test("bytes that make no sense give poison or a BugError, nothing else", () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1 }),
      fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat(255))),
      (steps, hits) => {
        const frames = logOf(steps).map((frame) => Buffer.from(frame));
        for (const [which, where, byte] of hits) {
          const frame = frames[which % frames.length] as Buffer;
          frame[where % frame.length] = byte;
        }
        try {
          for (const decoded of decodeFrames(frames, READ))
            expect(["message", "commit", "poison"]).toContain(decoded.type);
        } catch (error) {
          expect(error).toBeInstanceOf(BugError);
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test("any text is written as JSON.stringify writes it", () => {
  const writer = new JsonWriter();
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      const source = Buffer.from(text);
      writer.reserve(source.length * 6 + 2);
      const start = writer.at;
      writer.string(source, 0, source.length);
      expect(Buffer.from(writer.view(start)).toString()).toBe(JSON.stringify(text));
    }),
  );
});

test("a frame queue gives back what was pushed, in order, whatever the sizes", () => {
  const sizes = fc.oneof(fc.nat(200), fc.integer({ min: 200_000, max: 600_000 }));
  fc.assert(
    fc.property(fc.array(fc.record({ size: sizes, takes: fc.nat(3) }), { maxLength: 30 }), (steps) => {
      const queue = new FrameQueue();
      const expected: string[] = [];
      const actual: string[] = [];
      const take = (): boolean => {
        if (!queue.next()) return false;
        actual.push(`${queue.bytes[queue.from]}:${queue.to - queue.from}`);
        return true;
      };
      steps.forEach(({ size, takes }, index) => {
        queue.push(Buffer.alloc(size + 1, index));
        expected.push(`${index}:${size + 1}`);
        for (let taken = 0; taken < takes; taken++) take();
      });
      while (take());

      expect(actual).toEqual(expected);
      expect(queue.size).toBe(0);
    }),
  );
});

/** A transport without a server: some frames each time, then the end. */
function portioned(frames: readonly Buffer[], portions: Iterator<number>, over: Error): ReplicationTransport {
  const queue = new FrameQueue();
  let sent = 0;
  return {
    frames: queue,
    next: () => queue.next(),
    ready: async () => {
      if (sent === frames.length) throw over;
      const count = portions.next().value as number;
      for (const frame of frames.slice(sent, sent + count)) queue.push(frame);
      sent = Math.min(sent + count, frames.length);
    },
    acknowledge: (_end: bigint) => {},
    close: async () => {},
  };
}
