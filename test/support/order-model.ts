// A naive server with one durable, and two workers that hold their hands by KeyLanes and Gathering: random schedules of
// deliveries, ends, kills, freezes, pins that move and hand-outs that come again. It says what begins too early.

import { KeyLanes } from "../../src/automation/order/key-lanes.ts";
import { Gathering } from "../../src/bus/jetstream/consumer/gathering.ts";
import { Random } from "./bus/scripted-bus.ts";

const KEYS = 4;
const MOST = 12;

interface Held {
  readonly scope: string;
  readonly lane: string;
  readonly barrier: boolean;
  readonly rank: number;
}

/** What the server knows: which were handed out to whom, and which are settled. */
class Server {
  readonly events: Held[] = [];
  /** To whom, by rank; undefined: it comes again. */
  readonly pending = new Map<number, Worker | undefined>();
  readonly settled = new Set<number>();
  #next = 0;
  newest = 0;
  pinned: Worker | undefined;

  publish(key: number, barrier: boolean): void {
    const lane = barrier ? "s" : `s ${key}`;
    this.events.push({ scope: "s", lane, barrier, rank: this.events.length });
  }

  deliver(): void {
    const to = this.pinned;
    if (to === undefined || to.frozen) return;
    const again = [...this.pending].find(([, owner]) => owner === undefined)?.[0];
    if (again === undefined && (this.#next >= this.events.length || this.pending.size >= MOST)) return;
    const rank = again ?? this.#next++;
    this.pending.set(rank, to);
    to.receive(this.events[rank] as Held, ++this.newest);
  }

  ack(rank: number): void {
    this.pending.delete(rank);
    this.settled.add(rank);
  }
}

class Worker {
  readonly #server: Server;
  readonly #careless: boolean;
  #lanes = new KeyLanes<Held>();
  #gathering = new Gathering();
  readonly #held = new Map<number, Held>();
  readonly running = new Set<Held>();
  frozen = false;

  constructor(server: Server, careless: boolean) {
    this.#server = server;
    this.#careless = careless;
  }

  receive(event: Held, number: number): void {
    this.#gathering.received(number);
    if (this.#held.has(event.rank)) return;
    this.#held.set(event.rank, event);
    this.#lanes.add(event);
  }

  look(): void {
    const { pending, newest } = this.#server;
    let ours = 0;
    for (const rank of this.#held.keys()) if (pending.get(rank) === this) ours++;
    this.#gathering.judge(this.#gathering.mark, { unsettled: pending.size, newest }, ours);
    // What the server does not count any more never comes: as after twice the ack wait.
    if (this.#gathering.whole === undefined && pending.size <= this.#held.size) this.giveBack(false);
  }

  /** @returns what began too early */
  begin(): string | undefined {
    if (this.#gathering.whole === undefined && !this.#careless) return undefined;
    const event = this.#lanes.take();
    if (event === undefined) return undefined;
    if (this.#server.pending.get(event.rank) !== this) {
      this.#drop(event);
      return undefined;
    }
    this.running.add(event);
    const early = this.#server.events.find(
      (one) =>
        one.rank < event.rank &&
        (one.lane === event.lane || one.barrier || event.barrier) &&
        !this.#server.settled.has(one.rank),
    );
    return early && `${event.rank} of ${event.lane} began before ${early.rank} was settled`;
  }

  end(event: Held): void {
    this.running.delete(event);
    const ours = this.#server.pending.get(event.rank) === this;
    if (ours) this.#server.ack(event.rank);
    if (ours) this.#held.delete(event.rank);
    if (ours) this.#lanes.remove(event);
    else this.#drop(event);
  }

  /** Its process is over, or it has heard that another one is pinned; what runs goes on only in the second case. */
  giveBack(killed: boolean): void {
    if (killed) this.running.clear();
    for (const event of [...this.#held.values()]) if (!this.running.has(event)) this.#drop(event);
    this.#gathering = new Gathering();
  }

  #drop(event: Held): void {
    this.#held.delete(event.rank);
    this.#lanes.remove(event);
    this.#gathering.lost();
    if (this.#server.pending.get(event.rank) === this) this.#server.pending.set(event.rank, undefined);
  }
}

/** @param careless begin without looking whether all is in hand: the model must find that out */
export function runOrderSchedule(seed: number, careless = false): string | undefined {
  const random = new Random(seed);
  const server = new Server();
  const workers = [new Worker(server, careless), new Worker(server, careless)];
  const step = (busy: boolean): string | undefined => {
    const worker = workers[random.below(2)] as Worker;
    const what = random.next();
    if (busy && what < 0.15) server.publish(random.below(KEYS), random.chance(0.05));
    else if (what < 0.4) server.deliver();
    else if (busy && what < 0.43) {
      server.pinned = worker; // a restart, a leader, a frozen one: it moves for reasons that nobody sees
    } else if (busy && what < 0.45) {
      worker.giveBack(true);
      worker.frozen = false;
    } else if (busy && what < 0.47) worker.frozen = !worker.frozen;
    else if (busy && what < 0.5 && worker.frozen) {
      // No sign of life: what it has comes again.
      for (const [rank, owner] of server.pending) if (owner === worker) server.pending.set(rank, undefined);
    } else if (worker.frozen) return undefined;
    else if (what < 0.55 && server.pinned !== worker) worker.giveBack(false);
    else if (what < 0.7) worker.look();
    else if (what < 0.85) return worker.begin();
    else for (const event of [...worker.running].slice(0, 1)) worker.end(event);
    return undefined;
  };
  for (let n = 0; n < 400; n++) {
    const wrong = step(true);
    if (wrong !== undefined) return wrong;
  }
  for (const worker of workers) worker.frozen = false;
  server.pinned = workers[0];
  for (let n = 0; n < 20_000 && server.settled.size < server.events.length; n++) {
    const wrong = step(false);
    if (wrong !== undefined) return wrong;
  }
  return server.settled.size === server.events.length
    ? undefined
    : `${server.settled.size} of ${server.events.length} settled`;
}
