// Slices of a Postgres table, read as a copy reads them.

import { expect } from "vitest";
import type { RowCopier, Slice } from "../../../src/source/capabilities.ts";
import type { TestSource } from "./reader.ts";

/** From the first row on, each time that it is asked. */
export async function slicesOf({ copier }: TestSource, name: string): Promise<{ readSlice(): Promise<Slice> }> {
  const targets = await (copier as RowCopier).targets();
  const target = targets.find(({ collection }) => collection === name) ?? expect.unreachable(name);
  const { signal } = new AbortController();
  const request = { target, after: undefined, maxRows: 1000, maxBytes: 1e6, backfill: 1, signal };
  return { readSlice: () => (copier as RowCopier).readSlice(request) };
}

export async function sliceOf(source: TestSource, name: string): Promise<Slice> {
  return (await slicesOf(source, name)).readSlice();
}
