// Pools of pg: how one is known, and that the loss of a connection does not end the process.

type Listener = (subject: Emitter) => void;

interface Emitter {
  on(event: string, listener: Listener): unknown;
}

/** What a pool of pg lends. */
export interface Lent extends Emitter {
  query(text: string): Promise<{ readonly command?: string }>;
  end(): Promise<void>;
  release(error?: Error): void;
}

export interface PgPool extends Emitter {
  connect(): Promise<Lent>;
  listenerCount(event: string): number;
}

/** Whether it is a pool; a single connection of pg has `connect` and `query` too, but counts no others. */
export function isPool(value: unknown): value is PgPool {
  return isConnection(value) && "totalCount" in value;
}

/** Whether it is a connection of pg, or a pool of them. */
export function isConnection(value: unknown): value is object {
  return typeof value === "object" && value !== null && "connect" in value && "query" in value;
}

const kept = new WeakSet<object>();
/** Whoever uses the connection next is told by his statement. */
const ignore = (): void => {};

/**
 * pg emits the loss of a connection as an `error`, which ends the process where nobody listens; and the pool takes its own
 * listener off a connection that it lends.
 */
export function keepAlive(pool: PgPool): void {
  if (kept.has(pool)) return;
  kept.add(pool);
  if (pool.listenerCount("error") === 0) pool.on("error", ignore);
  pool.on("acquire", (client) => {
    if (kept.has(client)) return;
    kept.add(client);
    client.on("error", ignore);
  });
}
