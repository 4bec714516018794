// What the server says of one handing-out of a message: it stands in the subject that the ack goes to.

/** One handing-out of a message. */
export interface Handout {
  readonly sequence: number;
  /** How often it was handed out by then. */
  readonly serverCount: number;
  /** How many the durable had handed out with it, whatever and to whom. */
  readonly nth: number;
}

const DOT = 0x2e;
const ZERO = 0x30;

/** `$JS.ACK.[<domain>.<account>.]<stream>.<durable>.<count>.<stream sequence>.<delivery sequence>.<time>.<pending>[.<token>]` */
export function parseReply(reply: string): Handout {
  // By the characters, and nothing cut out: it is done for each message.
  let dots = 0;
  for (let at = 0; at < reply.length; at++) if (reply.charCodeAt(at) === DOT) dots++;
  const count = behindDots(reply, 0, dots > 8 ? 6 : 4);
  const sequence = behindDots(reply, count, 1);
  const nth = behindDots(reply, sequence, 1);
  return {
    serverCount: numberAt(reply, count),
    sequence: numberAt(reply, sequence),
    nth: numberAt(reply, nth),
  };
}

function behindDots(text: string, from: number, dots: number): number {
  let at = from;
  for (let left = dots; left > 0 && at < text.length; at++) if (text.charCodeAt(at) === DOT) left--;
  return at;
}

/** Of the digits up to the next dot; NaN where something else stands there. */
function numberAt(text: string, from: number): number {
  let number = 0;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === DOT) break;
    if (code < ZERO || code > ZERO + 9) return Number.NaN;
    number = number * 10 + (code - ZERO);
  }
  return number;
}

/**
 * The sequence of the one before, where one was handed out right behind the other, both for the first time: then the server
 * went through the stream from that one to this one, and let nothing through between them.
 */
export function sequenceBefore(last: Handout | undefined, { nth, serverCount, sequence }: Handout): number | undefined {
  if (last?.nth !== nth - 1 || last.serverCount > 1 || serverCount > 1) return undefined;
  return last.sequence < sequence ? last.sequence : undefined;
}
