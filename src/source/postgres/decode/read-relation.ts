// Reads how the log describes a table, from a Relation message.

import type { FrameReader } from "./frame-reader.ts";
import type { Relation } from "./table.ts";

/** @param domains names of base types by the oid of a domain, as the log has told them */
export function readRelation(reader: FrameReader, domains: ReadonlyMap<number, string>): Relation {
  const oid = reader.uint32();
  const namespace = reader.text() || "pg_catalog";
  const name = reader.text();
  const identity = String.fromCharCode(reader.uint8());
  const columns = Array.from({ length: reader.uint16() }, () => {
    const flags = reader.uint8();
    const column = reader.text();
    const type = reader.uint32();
    const typmod = reader.uint32() | 0;
    return { name: column, identity: (flags & 1) === 1, type, typmod, typeName: domains.get(type) };
  });
  return { oid, namespace, name, identity, columns };
}
