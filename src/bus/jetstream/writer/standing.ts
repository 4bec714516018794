// Where a stream stands, as of the newest batch that is known to be in it.

import type { StreamMessage } from "../../../event/message.ts";
import { isComplete } from "../../../event/position.ts";
import {
  laterPositions,
  newestOf,
  type Place,
  type Positions,
  placesOf,
  positionsAt,
  WHOLE,
  withoutPartitions,
} from "../../../event/positions.ts";
import type { Established } from "../recovery/establish.ts";
import type { Outgoing } from "../stream/encode.ts";

export class Standing {
  /** The newest `Cdc-Pos`. */
  newest: Place | undefined;
  /** That of each partition. */
  stored: Positions | undefined;
  /** When the newest transaction that was stored was committed. */
  committedAt: string | undefined;

  /** The partition of the newest place, where that one is over: markers repeat the place, and tell nothing new. */
  #over: ReadonlySet<string> = new Set();
  readonly #idle: () => Positions | undefined;

  /** @param idle how far the source is in the stream, where it has no event behind that */
  constructor(found: Established, idle: () => Positions | undefined) {
    this.#idle = idle;
    this.find(found);
  }

  /** It was read from the stream. @param over partitions that are over: the stream may still tell of them */
  find({ tail, stored }: Established, over: ReadonlySet<string> = new Set()): void {
    this.newest = tail;
    this.stored = withoutPartitions(withoutPartitions(stored, over), this.#over);
  }

  /** These partitions are over: where they were is not told any more. */
  end(partitions: ReadonlySet<string>): void {
    this.stored = withoutPartitions(this.stored, partitions);
    const part = this.newest?.partition;
    if (part !== undefined && partitions.has(part)) this.#over = new Set([part]);
  }

  /** A batch is in the stream. Returns those of its messages that have a place, and whether a transaction ends among them. */
  advance(messages: readonly Outgoing[]): { readonly placed: readonly StreamMessage[]; readonly ends: boolean } {
    const placed = messages.filter((message): message is StreamMessage => message.position !== undefined);
    const last = placed.at(-1);
    if (last) this.newest = { partition: last.partition, position: last.position };
    if (!this.#over.has(this.newest?.partition ?? WHOLE)) this.#over = new Set();
    this.stored = laterPositions(withoutPartitions(newestOf(placed), this.#over), this.stored);
    const complete = placed.findLast((message) => isComplete(message.position));
    this.committedAt = complete?.committedAt ?? this.committedAt;
    return { placed, ends: complete !== undefined };
  }

  /** Whether the newest message is inside of a transaction. */
  get inside(): boolean {
    return this.newest !== undefined && !isComplete(this.newest.position);
  }

  /** How far the source is in the stream: nothing that is still to come stands at or before it. */
  get reached(): Positions | undefined {
    return laterPositions(this.stored, this.#idle());
  }

  /** What is repeated by a message that stands beside the tail: the newest place, or an idle advance behind it. */
  get beside(): Place | undefined {
    const { newest } = this;
    const reached = laterPositions(newest && positionsAt(newest), this.#idle());
    return reached && placesOf(reached).find(({ partition }) => !newest || partition === newest.partition);
  }
}
