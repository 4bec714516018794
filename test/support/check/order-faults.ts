// Judges by what handlers noted whether the events of each key ran in their order: shared by tests of several workers.

import type { Note } from "./automation-order.ts";

/** What is wrong, for a person; an attempt that was cut off, or whose ack was, may be made again, but nothing behind it before. */
export function orderFaults(notes: readonly Note[]): readonly string[] {
  const faults: string[] = [];
  const open = new Map<number, Note>();
  const highest = new Map<number, number>();
  for (const note of notes) {
    const { id, sequence, what } = note;
    const told = `${what} of ${sequence}, key ${id}, attempt ${note.attempt}, pid ${note.pid}`;
    if (what !== "start") {
      if (open.get(id)?.sequence === sequence) open.delete(id);
      continue;
    }
    if (sequence < (highest.get(id) ?? 0)) faults.push(`${told}, behind ${highest.get(id)}`);
    const before = open.get(id);
    // One that never ended was killed, with its process, or its end was not noted; another event must not begin behind it.
    if (before !== undefined && before.sequence !== sequence) faults.push(`${told}, while ${before.sequence} runs`);
    open.set(id, note);
    highest.set(id, Math.max(sequence, highest.get(id) ?? 0));
  }
  return faults;
}
