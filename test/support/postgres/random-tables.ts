// Random tables of random types, random rows, and random DDL between and inside of transactions.

import type { Client } from "pg";
import type { Random } from "../bus/scripted-bus.ts";
import { CORPUS, type CorpusType } from "./type-corpus.ts";

interface Column {
  readonly name: string;
  readonly type: CorpusType;
}

interface Table {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly Column[];
  readonly full: boolean;
  /** Under full identity the catalog tells the key; of a dropped table an earlier version does, when there was a row of it. */
  readonly keyTold: boolean | undefined;
}

export const SCHEMAS = ["public", "other one"] as const;

/** Names that a subject, a quoting or a JSON text may stumble over. */
const NAMES = [
  "plain",
  "Upper Case",
  "with.dot",
  'a "quote"',
  "größe",
  "back\\slash",
  "selecT",
  "_",
  "$",
  "ключ",
  "it's",
];
/** How a regclass is printed depends on who prints it. */
const TYPES = CORPUS.filter(({ type, since }) => since === undefined && type !== "regclass");
const MAX_TABLES = 6;
const MAX_COLUMNS = 8;

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const literal = (text: string): string => `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;
const fullName = ({ schema, name }: Pick<Table, "schema" | "name">): string => `${quoted(schema)}.${quoted(name)}`;

/** What has happened to the tables is known only when its transaction has committed. */
export class RandomTables {
  readonly #random: Random;
  #tables: readonly Table[] = [];
  #names = 0;
  #ids = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** One transaction; a tenth of them is rolled back. @param publication that new tables join, as their owner has it */
  async transaction(client: Client, publication: string): Promise<void> {
    const before = this.#tables;
    const steps = this.#random.chance(0.5) ? 1 : 2 + this.#random.below(10);
    await client.query("begin");
    for (let step = 0; step < steps; step++) {
      await client.query("savepoint step");
      const tables = this.#tables;
      const statements = this.#tables.length === 0 ? this.#create(publication) : this.#step(publication);
      try {
        for (const statement of statements) await client.query(statement);
      } catch {
        // A value that does not fit, a column that something depends on: as if it had not been tried.
        await client.query("rollback to step");
        this.#tables = tables;
      }
    }
    const rollBack = this.#random.chance(0.1);
    await client.query(rollBack ? "rollback" : "commit");
    if (rollBack) this.#tables = before;
  }

  #step(publication: string): readonly string[] {
    const pick = this.#random.below(100);
    const table = this.#one(this.#tables);
    if (pick < 45) return [this.#insert(table)];
    if (pick < 62) return [this.#update(table)];
    if (pick < 68) return [`delete from ${fullName(table)} where id = ${this.#someId()}`];
    if (pick < 71) return [`update ${fullName(table)} set id = ${++this.#ids} where id = ${this.#someId()}`];
    if (pick < 73) return [`truncate ${fullName(table)}`];
    if (pick < 77 && this.#tables.length < MAX_TABLES) return this.#create(publication);
    return this.#alter(table, publication);
  }

  #alter(table: Table, publication: string): readonly string[] {
    const alter = `alter table ${fullName(table)}`;
    const column = table.columns.length === 0 ? undefined : this.#one(table.columns);
    const others = table.columns.filter((one) => one !== column);
    const kind = this.#random.below(10);
    if (kind <= 1 || column === undefined) {
      if (table.columns.length >= MAX_COLUMNS) return [];
      const added = this.#column();
      this.#change(table, { columns: [...table.columns, added] });
      const value = this.#random.chance(0.5) ? ` default ${this.#value(added.type)}` : "";
      return [`${alter} add ${quoted(added.name)} ${added.type.type}${value}`];
    }
    switch (kind) {
      case 2:
        this.#change(table, { columns: others });
        return [`${alter} drop ${quoted(column.name)}`];
      case 3: {
        const renamed = { ...column, name: this.#name() };
        this.#change(table, { columns: table.columns.map((one) => (one === column ? renamed : one)) });
        return [`${alter} rename ${quoted(column.name)} to ${quoted(renamed.name)}`];
      }
      case 4: {
        const text = TYPES.find(({ type }) => type === "text") as CorpusType;
        this.#change(table, { columns: table.columns.map((one) => (one === column ? { ...one, type: text } : one)) });
        return [`${alter} alter ${quoted(column.name)} drop default, alter ${quoted(column.name)} type text`];
      }
      case 5:
        return [`${alter} alter ${quoted(column.name)} set default ${this.#value(column.type)}`];
      case 6:
        this.#change(table, { full: !table.full, keyTold: table.keyTold ?? false });
        return [`${alter} replica identity ${table.full ? "default" : "full"}`];
      case 7: {
        const schema = table.schema === SCHEMAS[0] ? SCHEMAS[1] : SCHEMAS[0];
        this.#change(table, { schema });
        return [`${alter} set schema ${quoted(schema)}`];
      }
      case 8: {
        const name = this.#name();
        this.#change(table, { name });
        return [`${alter} rename to ${quoted(name)}`];
      }
      default: {
        if (table.keyTold === false) return [];
        this.#tables = this.#tables.filter((one) => one !== table);
        return [`drop table ${fullName(table)}`, ...this.#create(publication, table.name)];
      }
    }
  }

  #create(publication: string, name: string = this.#name()): readonly string[] {
    const columns = Array.from({ length: this.#random.below(5) }, () => this.#column());
    const table: Table = { schema: this.#one(SCHEMAS), name, columns, full: false, keyTold: undefined };
    this.#tables = [...this.#tables, table];
    const definitions = columns.map((column) => `, ${quoted(column.name)} ${column.type.type}`).join("");
    return [
      `create table ${fullName(table)}(id int primary key${definitions})`,
      `alter publication ${quoted(publication)} add table ${fullName(table)}`,
    ];
  }

  #insert(table: Table): string {
    const names = ["id", ...table.columns.map(({ name }) => quoted(name))].join(", ");
    const rows = Array.from({ length: this.#random.chance(0.8) ? 1 : 5 }, () => {
      const values = table.columns.map(({ type }) => (this.#random.chance(0.2) ? "null" : this.#value(type)));
      return `(${[++this.#ids, ...values].join(", ")})`;
    });
    this.#change(table, { keyTold: table.keyTold ?? true });
    return `insert into ${fullName(table)}(${names}) values ${rows.join(", ")}`;
  }

  #update(table: Table): string {
    const [column] = table.columns.length === 0 ? [] : [this.#one(table.columns)];
    const set = column === undefined ? "id = id" : `${quoted(column.name)} = ${this.#value(column.type)}`;
    return `update ${fullName(table)} set ${set} where id > ${this.#ids - 20} and id % 3 = ${this.#random.below(3)}`;
  }

  #change(table: Table, change: Partial<Table>): void {
    this.#tables = this.#tables.map((one) => (one === table ? { ...one, ...change } : one));
  }

  #column(): Column {
    return { name: this.#name(), type: this.#one(TYPES) };
  }

  /** Never used before, so that nothing clashes. */
  #name(): string {
    return `${this.#one(NAMES)} ${++this.#names}`;
  }

  #value({ type, values }: CorpusType): string {
    return `${literal(this.#one(values))}::${type}`;
  }

  #someId(): number {
    return Math.max(1, this.#ids - this.#random.below(20));
  }

  #one<T>(from: readonly T[]): T {
    return from[this.#random.below(from.length)] as T;
  }
}
