// Reads the lines that Postgres' test_decoding prints, apart from all of our own decoding.

/** A value as Postgres prints it; undefined: the log left it out (unchanged TOAST). */
export type TruthValue = string | null | undefined;

export interface TruthRow {
  readonly values: ReadonlyMap<string, TruthValue>;
  /** By column, as `format_type` prints them. */
  readonly types: ReadonlyMap<string, string>;
}

/** One change as subscribers must see it. */
export interface LoggedChange {
  readonly transaction: string;
  readonly namespace: string;
  readonly collection: string;
  readonly op: "created" | "updated" | "deleted" | "truncated";
  /** Null when the table has no key. */
  readonly key: Readonly<Record<string, TruthValue>> | null;
  /** What the log has of the row before: a part of it, without its nulls. */
  readonly before: TruthRow | undefined;
  readonly after: TruthRow | undefined;
  readonly moved: "movedTo" | "movedFrom" | undefined;
}

/** Key columns by `namespace.collection`, both quoted where SQL wants it. */
export type Keys = ReadonlyMap<string, readonly string[]>;

/** The changes that one `table …` line stands for: a changed key is two, a truncate one for each table. */
export function parseChange(transaction: string, line: string, keys: Pick<Keys, "get">): LoggedChange[] {
  const scan = new Scanner(line);
  scan.expect("table ");
  const tables = [scan.table()];
  while (scan.take(", ")) tables.push(scan.table());
  scan.expect(": ");
  const op = scan.until(": ");
  const at = ({ namespace, collection }: Table) => ({ transaction, namespace, collection });
  if (op === "TRUNCATE") {
    return tables.map((table) => ({
      ...at(table),
      op: "truncated",
      key: null,
      before: undefined,
      after: undefined,
      moved: undefined,
    }));
  }

  const [table] = tables;
  if (table === undefined) throw new Error(`no table in: ${line}`);
  const columns = keys.get(table.name);
  const keyOf = (row: TruthRow): LoggedChange["key"] =>
    columns === undefined ? null : Object.fromEntries(columns.map((name) => [name, row.values.get(name)]));
  const old = op === "DELETE" || scan.take("old-key: ") ? scan.row() : undefined;
  if (op === "DELETE") {
    return [
      { ...at(table), op: "deleted", key: keyOf(old ?? emptyRow), before: old, after: undefined, moved: undefined },
    ];
  }
  scan.take("new-tuple: ");
  const after = withOld(scan.row(), old);
  const key = keyOf(after);
  if (op === "INSERT") return [{ ...at(table), op: "created", key, before: undefined, after, moved: undefined }];
  const oldKey = old === undefined ? key : keyOf(old);
  if (JSON.stringify(oldKey) === JSON.stringify(key)) {
    return [{ ...at(table), op: "updated", key, before: old, after, moved: undefined }];
  }
  return [
    { ...at(table), op: "deleted", key: oldKey, before: old, after: undefined, moved: "movedTo" },
    { ...at(table), op: "created", key, before: undefined, after, moved: "movedFrom" },
  ];
}

const emptyRow: TruthRow = { values: new Map(), types: new Map() };

/** With REPLICA IDENTITY FULL the old row tells what an unchanged TOAST value is. */
function withOld(row: TruthRow, old: TruthRow | undefined): TruthRow {
  if (old === undefined) return row;
  const values = [...row.values].map(
    ([name, value]) => [name, value === undefined ? old.values.get(name) : value] as const,
  );
  return { values: new Map(values), types: row.types };
}

interface Table {
  /** As test_decoding writes it. */
  readonly name: string;
  readonly namespace: string;
  readonly collection: string;
}

/** Walks over one line of test_decoding. */
class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  take(expected: string): boolean {
    if (!this.#text.startsWith(expected, this.#at)) return false;
    this.#at += expected.length;
    return true;
  }

  expect(expected: string): void {
    if (!this.take(expected)) throw new Error(`expected ${expected} at ${this.#at} of: ${this.#text.slice(0, 500)}`);
  }

  until(end: string): string {
    const stop = this.#text.indexOf(end, this.#at);
    const found = this.#text.slice(this.#at, stop < 0 ? undefined : stop);
    this.#at = stop < 0 ? this.#text.length : stop + end.length;
    return found;
  }

  table(): Table {
    const start = this.#at;
    const namespace = this.#identifier();
    this.expect(".");
    const collection = this.#identifier();
    return { name: this.#text.slice(start, this.#at), namespace, collection };
  }

  /** Columns up to the end of the line or to `new-tuple:`. */
  row(): TruthRow {
    const values = new Map<string, TruthValue>();
    const types = new Map<string, string>();
    while (this.#at < this.#text.length && !this.#text.startsWith("new-tuple: ", this.#at)) {
      if (this.take("(no-tuple-data)")) break;
      const name = this.#identifier();
      this.expect("[");
      types.set(name, this.until("]:"));
      values.set(name, this.#value());
      this.take(" ");
    }
    return { values, types };
  }

  #identifier(): string {
    return this.#text[this.#at] === '"' ? this.#quoted('"') : this.#match(/[a-z0-9_$]+/y);
  }

  #value(): TruthValue {
    if (this.take("unchanged-toast-datum")) return undefined;
    if (this.take("B'")) this.#at--; // a bit string
    if (this.#text[this.#at] === "'") return this.#quoted("'");
    const bare = this.#match(/[^ ]+/y);
    return bare === "null" ? null : bare;
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined)
      throw new Error(`expected ${pattern.source} at ${this.#at} of: ${this.#text.slice(0, 500)}`);
    this.#at += found.length;
    return found;
  }

  #quoted(quote: string): string {
    const start = ++this.#at;
    for (;;) {
      const end = this.#text.indexOf(quote, this.#at);
      if (end < 0) throw new Error(`no closing ${quote} in: ${this.#text.slice(0, 500)}`);
      this.#at = end + 1;
      if (this.#text[this.#at] !== quote) return this.#text.slice(start, end).replaceAll(quote + quote, quote);
      this.#at++;
    }
  }
}
