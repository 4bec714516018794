// One table while it is copied: its segments are read ahead, page by page, and each page is held until the table's stream was read
// beyond it. docs/decisions/0020 has the argument.

import type { Clock } from "../../../clock.ts";
import type { CopiedRow } from "../../../event/source-event.ts";
import type { SourceMessage } from "../../source.ts";
import type { DynamoApi } from "../client/api.ts";
import type { Moment } from "../reader/shard-tip.ts";
import { CapacityRate } from "./capacity-rate.ts";
import { HeldPage } from "./held-page.ts";
import type { ItemEncoder } from "./item-encoder.ts";
import { isSamePlace, type SegmentPlace } from "./segment-places.ts";
import { TouchedKeys } from "./touched-keys.ts";

/** Of pages that are held, and of those that are asked for. */
const AHEAD_BYTES = 24 * 1024 * 1024;
/** What a page is counted as before it is there. */
const PAGE_BYTES = 2 * 1024 * 1024;
const MAX_TOUCHED_BYTES = 16 * 1024 * 1024;

export interface TableCopyOptions {
  readonly api: Pick<DynamoApi, "scan">;
  readonly clock: Clock;
  readonly table: string;
  readonly encoder: ItemEncoder;
  readonly maxRcu: number | undefined;
  /** How far the table and its stream may be apart. */
  readonly delayMs: number;
  /** Where it goes on. */
  readonly places: readonly SegmentPlace[];
}

interface Segment {
  /** All before it is stored, or was told by events. */
  place: SegmentPlace;
  /** Where the next page is asked for. */
  readTo: SegmentPlace;
  pages: HeldPage[];
  isReading: boolean;
}

/** Rows of one page that the stream has passed. */
export interface PassedRows {
  readonly rows: readonly CopiedRow[];
  /** How far the table is copied behind one of them. */
  after(index: number): readonly SegmentPlace[];
  readonly isLast: boolean;
}

export class TableCopy {
  readonly #options: TableCopyOptions;
  readonly #segments: readonly Segment[];
  readonly #touched: TouchedKeys;
  readonly #rate: CapacityRate;
  /** Requests that are not answered, with when they were sent. */
  readonly #asked = new Set<{ readonly at: number }>();
  /** Whose rows were given last: it is not known yet what of them is stored. */
  #given: { readonly segment: Segment; readonly page: HeldPage } | undefined;
  /** What is asked for before it changes is thrown away. */
  #round = 0;
  #failure: { readonly thrown: unknown } | undefined;

  constructor(options: TableCopyOptions) {
    const { clock, places, maxRcu } = options;
    this.#options = options;
    this.#segments = places.map((place) => ({ place, readTo: place, pages: [], isReading: false }));
    this.#touched = new TouchedKeys(clock.now(), MAX_TOUCHED_BYTES);
    this.#rate = new CapacityRate(maxRcu);
  }

  /** Called with all that the source hands out, before anybody else has it. */
  handedOut(messages: readonly SourceMessage[]): void {
    const { table, clock } = this.#options;
    for (const message of messages) {
      if (message.type === "change" && message.kind.collection === table) {
        this.#touched.touch(message.key, clock.now());
        for (const { pages } of this.#segments) for (const page of pages) page.touch(message.key);
      } else if (message.type === "poison" && message.collection === table) this.#restart();
    }
  }

  /** So far it is stored by now: called before rows are asked for. */
  stored(places: readonly SegmentPlace[]): void {
    const { segment, page } = this.#given ?? {};
    this.#given = undefined;
    this.#failure = undefined; // nobody waited for it
    if (segment === undefined || page === undefined) return;
    const place = places[this.#segments.indexOf(segment)] ?? null;
    if (isSamePlace(place, segment.place)) return;
    if (segment.pages[0] !== page)
      segment.readTo = place; // it was thrown away since
    else if (isSamePlace(place, page.end)) segment.pages.shift();
    else if (!page.passed(place)) return; // nothing of it is stored
    segment.place = place;
  }

  /** Asks for pages as long as there is room for them. */
  readAhead(maxRows: number): void {
    const { clock, delayMs } = this.#options;
    const now = clock.now();
    this.#touched.forgetBefore(Math.min(now, ...[...this.#asked].map(({ at }) => at)) - delayMs);
    if (this.#failure !== undefined || !this.#touched.knowsSince(now - delayMs)) return;
    const open = this.#segments.filter(({ isReading, readTo }) => !isReading && readTo !== true);
    for (const segment of open.sort((a, b) => a.pages.length - b.pages.length)) {
      const bytes = this.#heldBytes + PAGE_BYTES * this.#asked.size;
      const isFull = bytes > 0 && bytes + PAGE_BYTES > AHEAD_BYTES;
      if (isFull || !this.#rate.mayAsk(now) || (this.#rate.isBounded && this.#asked.size > 0)) return;
      void this.#read(segment, Math.min(maxRows, this.#rate.items));
    }
  }

  /** @throws what a request has ended with, once: then it may be asked again */
  throwFailure(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure.thrown;
  }

  /** Whether what was read waits for the stream. */
  get isHolding(): boolean {
    return this.#segments.some(({ pages }) => pages.length > 0);
  }

  /** The oldest rows that are held, where the stream has passed them; undefined while there are none. */
  next(maxRows: number, isPassed: (moment: Moment) => boolean): PassedRows | undefined {
    for (const segment of this.#segments) skipEmpty(segment);
    if (this.#segments.every(({ place }) => place === true)) return { rows: [], after: () => [], isLast: true };
    const heads = this.#segments.flatMap((segment) => segment.pages.slice(0, 1).map((page) => ({ segment, page })));
    const [oldest] = heads.sort((a, b) => a.page.moment.now - b.page.moment.now);
    if (oldest === undefined || !isPassed(oldest.page.moment)) return undefined;
    const given = oldest.page.first(maxRows);
    this.#given = oldest;
    const others = this.#segments.filter((segment) => segment !== oldest.segment);
    return {
      rows: given.map(({ row }) => row),
      after: (index) =>
        this.#segments.map((segment) =>
          segment === oldest.segment ? (given[index]?.place ?? segment.place) : segment.place,
        ),
      isLast: given.at(-1)?.place === true && others.every(({ place }) => place === true),
    };
  }

  get #heldBytes(): number {
    return this.#segments.reduce((sum, { pages }) => sum + pages.reduce((all, { bytes }) => all + bytes, 0), 0);
  }

  async #read(segment: Segment, limit: number): Promise<void> {
    const { api, clock, table, delayMs } = this.#options;
    const { readTo } = segment;
    const [round, askedAt, time] = [this.#round, clock.now(), new Date(clock.wall()).toISOString()];
    const asked = { at: askedAt };
    this.#asked.add(asked);
    segment.isReading = true;
    try {
      const nth = this.#segments.indexOf(segment);
      const after = readTo === null || readTo === true ? undefined : readTo;
      const page = await api.scan(table, { segment: nth, of: this.#segments.length, after, limit });
      const [now, wall] = [clock.now(), page.at ?? clock.wall()];
      this.#rate.took({ ...page, items: page.items.length }, now);
      // What was noted before is gone: nobody knows which items are older than what was handed out.
      if (round !== this.#round || !this.#touched.knowsSince(askedAt - delayMs)) return;
      const items = page.items
        .map((item) => this.#options.encoder.encode(item, `${time.slice(0, -1)}000Z`))
        .filter(({ row }) => !this.#touched.has(row.key, askedAt - delayMs));
      segment.readTo = page.next ?? true;
      segment.pages.push(new HeldPage(items, segment.readTo, { now, wall }));
    } catch (thrown) {
      this.#failure ??= { thrown };
    } finally {
      segment.isReading = false;
      this.#asked.delete(asked);
    }
  }

  /** A change was handed out of which nobody knows the key: what is held may be older than it. */
  #restart(): void {
    this.#round++;
    this.#touched.restart(this.#options.clock.now());
    for (const segment of this.#segments) {
      segment.pages = [];
      segment.readTo = segment.place;
    }
  }
}

/** Of pages without a row that is left nothing is to be stored. */
function skipEmpty(segment: Segment): void {
  for (let [page] = segment.pages; page?.isEmpty === true; [page] = segment.pages) {
    segment.place = page.end;
    segment.pages.shift();
  }
}
