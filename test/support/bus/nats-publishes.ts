// What a client's bytes ask of a nats-server: the batches in them that must be acknowledged.

/**
 * Where the acknowledgements go of the batches of a source that are among bytes on their way, one connection's alone. A message
 * of which only a part was sent is none: the server never answers it.
 */
export function publishes(bytes: Buffer): readonly string[] {
  const lines = bytes.toString("latin1").matchAll(/HPUB (?:cdc|meta)\.\S+ (\S+) \d+ (\d+)\r\n/g);
  return [...lines].flatMap(({ 0: line, 1: reply = "", 2: size, index }) =>
    index + line.length + Number(size) + "\r\n".length <= bytes.length ? [reply] : [],
  );
}
