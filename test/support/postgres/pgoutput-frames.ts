// Builds frames of the replication protocol, for tests of what real servers seldom or never send.

/** A column's value: text, null, or left out by the log (undefined). */
export type Value = string | null | undefined;

export interface TestColumn {
  readonly name: string;
  readonly type?: number;
  readonly key?: boolean;
}

export interface MessageParts {
  readonly prefix?: string;
  readonly content?: string | Uint8Array;
  readonly transactional?: boolean;
}

const text = (value: string): Buffer => Buffer.from(`${value}\0`);
const uint8 = (value: number): Buffer => Buffer.of(value);
const uint16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const uint64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};

function xlog(lsn: bigint, ...payload: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from("w"), uint64(lsn), uint64(lsn), uint64(0n), ...payload]);
}

function tuple(values: readonly Value[]): Buffer {
  const columns = values.map((value) => {
    if (value === null) return Buffer.from("n");
    if (value === undefined) return Buffer.from("u");
    const bytes = Buffer.from(value);
    return Buffer.concat([Buffer.from("t"), uint32(bytes.length), bytes]);
  });
  return Buffer.concat([uint16(values.length), ...columns]);
}

export const keepalive = (end: bigint): Buffer => Buffer.concat([Buffer.from("k"), uint64(end), uint64(0n), uint8(0)]);

/** @param us commit time, microseconds since 2000 */
export const begin = (final: bigint, { xid = 7, us = 0n }: { xid?: number; us?: bigint } = {}): Buffer =>
  xlog(final, Buffer.from("B"), uint64(final), uint64(us), uint32(xid));

export const commit = (final: bigint, end: bigint): Buffer =>
  xlog(end, Buffer.from("C"), uint8(0), uint64(final), uint64(end), uint64(0n));

export const relation = (
  oid: number,
  name: string,
  columns: readonly TestColumn[],
  { identity = "d", schema = "public" }: { identity?: string; schema?: string } = {},
): Buffer =>
  xlog(
    0n,
    Buffer.from("R"),
    uint32(oid),
    text(schema),
    text(name),
    Buffer.from(identity),
    uint16(columns.length),
    ...columns.map((column) =>
      Buffer.concat([
        uint8(column.key === true ? 1 : 0),
        text(column.name),
        uint32(column.type ?? 25),
        uint32(0xffffffff),
      ]),
    ),
  );

export const typeName = (oid: number, schema: string, name: string): Buffer =>
  xlog(0n, Buffer.from("Y"), uint32(oid), text(schema), text(name));

export const insert = (lsn: bigint, oid: number, values: readonly Value[]): Buffer =>
  xlog(lsn, Buffer.from("I"), uint32(oid), Buffer.from("N"), tuple(values));

export const update = (
  lsn: bigint,
  oid: number,
  values: readonly Value[],
  old?: { readonly kind: "K" | "O"; readonly values: readonly Value[] },
): Buffer =>
  xlog(
    lsn,
    Buffer.from("U"),
    uint32(oid),
    ...(old === undefined ? [] : [Buffer.from(old.kind), tuple(old.values)]),
    Buffer.from("N"),
    tuple(values),
  );

export const remove = (lsn: bigint, oid: number, kind: "K" | "O", values: readonly Value[]): Buffer =>
  xlog(lsn, Buffer.from("D"), uint32(oid), Buffer.from(kind), tuple(values));

export const truncate = (lsn: bigint, ...oids: readonly number[]): Buffer =>
  xlog(lsn, Buffer.from("T"), uint32(oids.length), uint8(0), ...oids.map(uint32));

/** @param lsn the end of its record */
export const message = (
  lsn: bigint,
  { prefix = "aside", content = "x", transactional = false }: MessageParts = {},
): Buffer => {
  const bytes = Buffer.from(content);
  const flags = transactional ? 1 : 0;
  return xlog(lsn, Buffer.from("M"), uint8(flags), uint64(lsn), text(prefix), uint32(bytes.length), bytes);
};
