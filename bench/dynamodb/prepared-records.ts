// Pages of a shard's records, made once and only filled in for each answer, so that whoever reads them is the one that is measured.

/** Of every ten records six are inserts, three updates with both images, and one is a removal. */
const KINDS = ["INSERT", "INSERT", "MODIFY", "INSERT", "INSERT", "MODIFY", "INSERT", "REMOVE", "INSERT", "MODIFY"];
const PAGE_RECORDS = 1000;
const PAGE_BYTES = 1024 * 1024;
/** Of a sequence number, before its shard and its record: the server's have 21 digits and more. */
const HEAD = "400000";
const SHARD_DIGITS = 6;
const RECORD_DIGITS = 9;
const DIGITS = SHARD_DIGITS + RECORD_DIGITS;
/** What is looked for in a finished page, to be filled in. */
const HOLE = "#".repeat(DIGITS);

/** The sequence number of a shard's record, counted from 0. */
export function numberOf(shard: number, record: number): string {
  return HEAD + digitsOf(shard, record);
}

/** The record that a sequence number is of. */
export function recordAt(number: string): number {
  return Number(number.slice(-RECORD_DIGITS)) - 1;
}

/** The shard that the key of an item names. */
export function shardOf(key: string): number {
  return Number(key.slice(-DIGITS, -RECORD_DIGITS));
}

function digitsOf(shard: number, record: number): string {
  return String(shard).padStart(SHARD_DIGITS, "0") + String(record + 1).padStart(RECORD_DIGITS, "0");
}

interface Template {
  readonly bytes: Buffer;
  /** Where each record's holes are. */
  readonly holes: readonly (readonly number[])[];
}

/** Makes the pages of one size of items. */
export class Pages {
  readonly #itemBytes: number;
  readonly #templates = new Map<string, Template>();

  /** @param itemBytes of an item, as the server counts them */
  constructor(itemBytes: number) {
    this.#itemBytes = itemBytes;
  }

  /** How many records a page has from this one on: a thousand, or a megabyte. @param first counted from 0 */
  fit(first: number, most: number): number {
    let bytes = 0;
    for (let count = 0; ; count++) {
      bytes += this.#itemBytes * (KINDS[(first + count) % KINDS.length] === "MODIFY" ? 2 : 1);
      if (count === Math.min(most, PAGE_RECORDS) || bytes > PAGE_BYTES) return count;
    }
  }

  /** `"Records":[…]` of a shard's records from `first` on, in a buffer of its own. */
  page(shard: number, first: number, count: number): Buffer {
    const name = `${count} from ${first % KINDS.length}`;
    let template = this.#templates.get(name);
    if (template === undefined) {
      template = this.#make(first, count);
      this.#templates.set(name, template);
    }
    const bytes = Buffer.from(template.bytes);
    template.holes.forEach((holes, nth) => {
      const digits = digitsOf(shard, first + nth);
      for (const at of holes) bytes.write(digits, at, DIGITS, "latin1");
    });
    return bytes;
  }

  #make(first: number, count: number): Template {
    const texts = Array.from({ length: count }, (_, nth) =>
      this.#record(KINDS[(first + nth) % KINDS.length] as string),
    );
    const bytes = Buffer.from(`"Records":[${texts.join(",")}]`);
    const holes: number[][] = [];
    let at = '"Records":['.length;
    for (const text of texts) {
      const mine: number[] = [];
      for (let hole = text.indexOf(HOLE); hole >= 0; hole = text.indexOf(HOLE, hole + 1)) mine.push(at + hole);
      holes.push(mine);
      at += text.length + 1;
    }
    return { bytes, holes };
  }

  #record(eventName: string): string {
    const Keys = { id: { S: HOLE } };
    const item = (status: string): object => ({
      ...Keys,
      customer: { N: "4711" },
      status: { S: status },
      amount: { N: "123.45" },
      paid: { BOOL: true },
      lines: { L: [{ M: { product: { N: "17" }, quantity: { N: "2" } } }] },
      note: { S: "0123456789abcdef".repeat(Math.max(1, Math.round((this.#itemBytes - 110) / 16))) },
      created_at: { S: "2026-11-29T12:34:56.789Z" },
    });
    return JSON.stringify({
      ...{ eventID: `0123456789abcdef0${HOLE}`, eventName, eventVersion: "1.1", eventSource: "aws:dynamodb" },
      awsRegion: "eu-west-1",
      dynamodb: {
        ...{ ApproximateCreationDateTime: 1_800_000_000, Keys },
        ...(eventName === "REMOVE" ? {} : { NewImage: item("paid") }),
        ...(eventName === "INSERT" ? {} : { OldImage: item("placed") }),
        ...{ SequenceNumber: `${HEAD}${HOLE}`, SizeBytes: this.#itemBytes, StreamViewType: "NEW_AND_OLD_IMAGES" },
      },
    });
  }
}
