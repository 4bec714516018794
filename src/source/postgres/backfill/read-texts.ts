// Rows of a query, their values as Postgres prints them.

import type { Client, QueryArrayConfig } from "pg";

export async function readTexts(client: Client, text: string): Promise<readonly (readonly (string | null)[])[]> {
  const types = { getTypeParser: () => (value: string) => value };
  const { rows } = await client.query<(string | null)[]>({ text, rowMode: "array", types } as QueryArrayConfig);
  return rows;
}
