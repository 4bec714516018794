// Events in the lanes of their keys: what may begin is the first of its key. Pure; who holds the events and what becomes of
// them is the ordered hand's.

/** Which key an event is of. */
export interface LaneKey {
  /** Stream and collection, or aggregate: in which its key means something. */
  readonly scope: string;
  /** The scope and the key in it. */
  readonly lane: string;
  /** Nothing of its scope runs beside it: all before it has ended, and nothing behind it has begun. */
  readonly barrier: boolean;
}

export interface Laned extends LaneKey {
  /** By which the events of a lane are ordered: where it stands in the stream. */
  readonly rank: number;
}

interface Scope<Event> {
  readonly lanes: Set<string>;
  /** Rising. */
  readonly barriers: Event[];
}

export class KeyLanes<Event extends Laned> {
  readonly #lanes = new Map<string, Event[]>();
  readonly #scopes = new Map<string, Scope<Event>>();
  /** First of their lane, behind no barrier, and not taken yet. */
  readonly #ready = new Set<Event>();
  readonly #taken = new Set<Event>();

  /** In its place: behind what stands before it in the stream, whenever that comes. */
  add(event: Event): void {
    const lane = this.#lanes.get(event.lane) ?? [];
    this.#lanes.set(event.lane, lane);
    const [displaced] = lane;
    insert(lane, event);
    const scope = this.#scopes.get(event.scope) ?? { lanes: new Set<string>(), barriers: [] };
    this.#scopes.set(event.scope, scope);
    scope.lanes.add(event.lane);
    if (event.barrier) insert(scope.barriers, event);
    if (displaced !== undefined && lane[0] === event) this.#ready.delete(displaced);
    if (scope.barriers.length > 0) this.#considerAll(scope);
    else this.#consider(event.lane);
  }

  /** It is settled, or not in hand any more: the next of its lane may begin. */
  remove(event: Event): void {
    const lane = this.#lanes.get(event.lane) ?? [];
    const at = lane.indexOf(event);
    if (at < 0) return;
    lane.splice(at, 1);
    this.#ready.delete(event);
    this.#taken.delete(event);
    const scope = this.#scopes.get(event.scope);
    if (lane.length === 0) {
      this.#lanes.delete(event.lane);
      scope?.lanes.delete(event.lane);
    }
    const stood = scope !== undefined && scope.barriers.length > 0;
    if (event.barrier) scope?.barriers.splice(scope.barriers.indexOf(event), 1);
    if (scope?.lanes.size === 0) this.#scopes.delete(event.scope);
    if (stood) this.#considerAll(scope);
    else this.#consider(event.lane);
  }

  /**
   * The next that may begin, the oldest in the stream; it is taken until it is removed or put back. Of a key with many events each one
   * would else wait for a whole round of the others, who have come later.
   */
  take(): Event | undefined {
    let oldest: Event | undefined;
    for (const event of this.#ready) if (oldest === undefined || event.rank < oldest.rank) oldest = event;
    if (oldest === undefined) return undefined;
    this.#ready.delete(oldest);
    this.#taken.add(oldest);
    return oldest;
  }

  /** It did not begin, or is to begin once more: it keeps its place. */
  putBack(event: Event): void {
    if (this.#taken.delete(event)) this.#consider(event.lane);
  }

  /** What stands directly behind it in its lane. */
  behind(event: Event): Event | undefined {
    const lane = this.#lanes.get(event.lane) ?? [];
    return lane[lane.indexOf(event) + 1];
  }

  isTaken(event: Event): boolean {
    return this.#taken.has(event);
  }

  /** Each lane from its first event on. */
  lanes(): IterableIterator<readonly Event[]> {
    return this.#lanes.values();
  }

  lane(name: string): readonly Event[] {
    return this.#lanes.get(name) ?? [];
  }

  #considerAll({ lanes }: Scope<Event>): void {
    for (const lane of lanes) this.#consider(lane);
  }

  #consider(name: string): void {
    const first = this.#lanes.get(name)?.[0];
    if (first === undefined || this.#taken.has(first)) return;
    if (this.#mayBegin(first)) this.#ready.add(first);
    else this.#ready.delete(first);
  }

  #mayBegin(event: Event): boolean {
    const { lanes, barriers } = this.#scopes.get(event.scope) as Scope<Event>;
    if (barriers.length === 0) return true;
    if (!event.barrier) return (barriers[0] as Event).rank > event.rank;
    for (const name of lanes) {
      const first = this.#lanes.get(name)?.[0];
      if (first !== undefined && first !== event && first.rank < event.rank) return false;
    }
    return true;
  }
}

/** Behind all whose rank is not higher; mostly that is the end. */
function insert<Event extends Laned>(events: Event[], event: Event): void {
  let at = events.length;
  while (at > 0 && (events[at - 1] as Event).rank > event.rank) at--;
  events.splice(at, 0, event);
}
