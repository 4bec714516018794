// The rows that are drained: seven columns, about 280 bytes, in transactions of a hundred.

import type { Client } from "pg";

const TRANSACTION_ROWS = 100;

/** The rows $1 to $2. */
export const INSERT = `insert into measured select i, i % 5000, (array['new','paid','sent','done'])[1 + i % 4],
  (i % 100000) / 100.0, i % 2 = 0, repeat(md5(i::text), 7), clock_timestamp() from generate_series($1::bigint, $2::bigint) i`;

export async function createTable(client: Client): Promise<void> {
  await client.query(`create table measured(id bigint primary key, customer int not null, status text not null,
    amount numeric(12,2) not null, paid boolean not null, note text not null, created_at timestamptz not null)`);
}

/** Commits `rows` rows in one transaction. */
export async function writeTransaction(client: Client, rows: number): Promise<void> {
  await client.query(INSERT, [1, rows]);
}

/** Commits `rows` rows, the last transaction being the shorter one. */
export async function writeRows(client: Client, rows: number): Promise<void> {
  await client.query("set synchronous_commit = off");
  await client.query(`prepare write(bigint, bigint) as ${INSERT}`);
  for (let first = 1; first <= rows; first += TRANSACTION_ROWS) {
    await client.query(`execute write(${first}, ${Math.min(first + TRANSACTION_ROWS - 1, rows)})`);
  }
}
