// Reading a stream backwards: one message a round trip is slow where every message was stored alone, so the more steps of
// one lie behind, the more messages are asked for at once.

import type { StoredMessage, StreamPort } from "../stream/port.ts";
import type { Reader } from "./stream-tail.ts";

const MAX_AHEAD = 64;

/** The port's `read`, which asks for up to 64 older messages along once it was asked for neighbours. Keeps only those. */
export function readBack(port: StreamPort): Reader {
  const ahead = new Map<number, Promise<StoredMessage | undefined>>();
  let window = 1;
  let last = 0;
  return {
    isRemoved: (seq) => port.isRemoved(seq),
    read: (seq) => {
      window = seq === last - 1 ? Math.min(window * 2, MAX_AHEAD) : seq === last ? window : 1;
      last = seq;
      const known = ahead.get(seq);
      ahead.delete(seq);
      if (known !== undefined) return known;
      ahead.clear(); // what was asked for and not used is behind us
      for (let older = seq - 1; older > Math.max(seq - window, 0); older--) {
        const asked = port.read(older);
        asked.catch(() => {}); // whoever needs it hears of it
        ahead.set(older, asked);
      }
      return port.read(seq);
    },
  };
}
