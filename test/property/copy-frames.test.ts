// The socket's bytes to frames: whatever the pieces they come in, what is the log's and what is the driver's.

import { createHash } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { CopyFrames } from "../../src/source/postgres/replication/copy-frames.ts";
import { CUT, keptOf, keptOfCut } from "../../src/source/postgres/replication/cut-frame.ts";
import { FrameQueue } from "../../src/source/postgres/replication/frame-queue.ts";

const MAX_BYTES = 100_000;
const PASSED_CODES = ["c", "E", "N", "S", "T", "D", "C", "Z", "W"];

interface Message {
  readonly code: string;
  readonly body: Buffer;
}

const bodyOf = (size: number, seed: number): Buffer => {
  const body = Buffer.alloc(size, seed);
  if (size > 0) body[0] = 0x77;
  for (let at = 1; at < size; at += 997) body[at] = (at + seed) & 0xff;
  return body;
};

const messages = fc.array(
  fc.record({
    code: fc.oneof({ weight: 3, arbitrary: fc.constant("d") }, fc.constantFrom(...PASSED_CODES)),
    body: fc
      .tuple(
        fc.oneof(fc.nat(40), fc.nat(3000), fc.integer({ min: MAX_BYTES - 5, max: MAX_BYTES + 200_000 })),
        fc.nat(255),
      )
      .map(([size, seed]) => bodyOf(size, seed)),
  }),
  { maxLength: 20 },
);

const onTheWire = ({ code, body }: Message): Buffer => {
  const header = Buffer.alloc(5, code);
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
};

/** A frame as a test compares it: one that is too large is known by its size, beginning and digest. */
const shown = (bytes: Buffer, from: number, to: number): unknown => {
  const cut = from < to && bytes[from] === CUT; // an empty frame has no byte of its own
  const kept = cut ? keptOfCut(bytes, from, to) : keptOf(bytes, from, to);
  return {
    cut,
    header: bytes.toString("hex", from + 1, Math.min(from + 25, to)),
    ...kept,
    raw: Buffer.from(kept.raw).toString("latin1"),
  };
};

function drained(queue: FrameQueue, into: unknown[], limit = Number.POSITIVE_INFINITY): void {
  for (let count = 0; count < limit && queue.next(); count++) into.push(shown(queue.bytes, queue.from, queue.to));
}

test("frames come out whole and in order, large ones cut, and the driver gets the rest unchanged, however the bytes come", () => {
  const pieces = fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 70_000 })));
  fc.assert(
    fc.property(messages, pieces, fc.infiniteStream(fc.nat(3)), (sent, sizes, takes) => {
      const queue = new FrameQueue();
      const passed: Buffer[] = [];
      const taken: number[] = [];
      const copy = new CopyFrames({
        frames: queue,
        maxBytes: MAX_BYTES,
        pass: (bytes) => passed.push(Buffer.from(bytes)),
        taken: (bytes, from) => taken.push(bytes[from] as number),
        malformed: () => expect.unreachable("nothing is malformed"),
      });
      const wire = Buffer.concat(sent.map(onTheWire));
      const got: unknown[] = [];
      for (let at = 0; at < wire.length; ) {
        const size = sizes.next().value as number;
        const chunk = Buffer.from(wire.subarray(at, at + size));
        copy.take(chunk);
        chunk.fill(0xee); // the socket's memory serves again
        at += size;
        drained(queue, got, takes.next().value as number);
      }
      drained(queue, got);

      const frames = sent.filter(({ code }) => code === "d").map(({ body }) => body);
      const rest = Buffer.concat(sent.filter(({ code }) => code !== "d").map(onTheWire));
      expect(Buffer.concat(passed).equals(rest)).toBe(true);
      expect(taken).toHaveLength(frames.length);
      expect(got).toEqual(
        frames.map((frame) => ({
          cut: frame.length > MAX_BYTES,
          header: frame.toString("hex", 1, 25),
          raw: frame.toString("latin1", 25, 25 + 65_536),
          sizeBytes: Math.max(frame.length - 25, 0),
          sha256: createHash("sha256").update(frame.subarray(25)).digest("hex"),
        })),
      );
    }),
    { numRuns: 40 },
  );
});

test("a frame that is too large is never held: the queue stays as small as its beginning", () => {
  const queue = new FrameQueue();
  const copy = new CopyFrames({
    frames: queue,
    maxBytes: MAX_BYTES,
    pass: () => {},
    taken: () => {},
    malformed: () => {},
  });
  const header = Buffer.from("d....");
  header.writeUInt32BE(500 * 65_536 + 4, 1);
  copy.take(header);
  for (let nth = 0; nth < 500; nth++) {
    copy.take(Buffer.alloc(65_536, 0x77));
    expect(queue.size).toBeLessThan(70_000);
  }

  expect(queue.next()).toBe(true);
  expect(keptOfCut(queue.bytes, queue.from, queue.to)).toMatchObject({ sizeBytes: 500 * 65_536 - 25 });
});

test("bytes that are no messages are told once, and nothing more is made of them", () => {
  let told = 0;
  const passed: Buffer[] = [];
  const copy = new CopyFrames({
    frames: new FrameQueue(),
    maxBytes: MAX_BYTES,
    pass: (bytes) => passed.push(bytes),
    taken: () => {},
    malformed: () => told++,
  });
  copy.take(Buffer.from([0x5a, 0, 0, 0, 0, 1, 2, 3]));
  copy.take(Buffer.alloc(100));

  expect({ told, passed }).toEqual({ told: 1, passed: [] });
});
