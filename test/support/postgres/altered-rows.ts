// A consumer that knows a row by what no statement of the test ever changes of it, whatever its key is called, made of, or is: so a copy
// can be held against a table whose definition changes in the middle.

export interface AlteredBody {
  readonly op: string;
  readonly key: Readonly<Record<string, unknown>> | null;
  readonly after: Readonly<Record<string, unknown>> | null;
  readonly unchanged?: readonly string[];
  readonly movedTo?: unknown;
}

type Row = Readonly<Record<string, string | undefined>>;

/** Columns that are compared, by the names that they begin with. */
export const COMPARED = ["id", "u", "rid", "v", "doc"];

/** Rows by their `rid`. Each write of a row gives it a larger `v`. */
export class AlteredRows {
  readonly rows = new Map<string, Row>();
  wrong: string | undefined;
  readonly #moving = new Map<string, Row>();
  readonly #newest = new Map<string, number>();
  readonly #ids = new Set<string>();

  /** @param id of a row that is read: none comes twice */
  apply({ op, key, after, unchanged = [], movedTo }: AlteredBody, id?: string): void {
    if (op === "truncated") this.rows.clear();
    if (op === "deleted") {
      const rid = this.#find(named(key ?? {}));
      if (rid === undefined) return;
      if (movedTo !== undefined) this.#moving.set(rid, this.rows.get(rid) as Row);
      this.rows.delete(rid);
    }
    if (after === null || op === "truncated" || op === "deleted") return;
    const row = named(after);
    const rid = row.rid as string;
    const [v, newest] = [Number(row.v), this.#newest.get(rid) ?? 0];
    if (v < newest) this.wrong ??= `${op} of ${rid} goes back from ${newest} to ${v}`;
    this.#newest.set(rid, v);
    const before = this.rows.get(rid) ?? this.#moving.get(rid) ?? {};
    this.#moving.delete(rid);
    this.rows.set(rid, { ...Object.fromEntries(unchanged.map((column) => [column, before[column]])), ...row });
    if (id === undefined) return;
    if (this.#ids.has(id)) this.wrong ??= `${id} is read twice`;
    this.#ids.add(id);
  }

  /** The first row that is another one than the table's. */
  differs(table: readonly Row[]): string | undefined {
    if (table.length !== this.rows.size) return `${this.rows.size} rows are told, of ${table.length}`;
    for (const row of table) {
      const told = this.rows.get(row.rid as string);
      const column = COMPARED.find((name) => told?.[name] !== row[name]);
      if (column !== undefined) return `${column} of ${row.rid} is ${told?.[column]}, and should be ${row[column]}`;
    }
    return undefined;
  }

  #find(key: Row): string | undefined {
    for (const [rid, row] of this.rows) if (Object.keys(key).every((name) => row[name] === key[name])) return rid;
    return undefined;
  }
}

/** All values as texts, and the column that is renamed by its first name. */
function named(values: Readonly<Record<string, unknown>>): Row {
  const each = Object.entries(values).map(([name, value]) => [name === "ident" ? "id" : name, text(value)]);
  return Object.fromEntries(each) as Row;
}

function text(value: unknown): string | undefined {
  return value === null || value === undefined ? undefined : String(value);
}
