// The bodies of large events as the bus has them; and losing some, as by a power cut.

import { type ObjectStore, Objm } from "@nats-io/obj";
import { connect } from "@nats-io/transport-node";

/** The names of all objects, in the order of their events. */
export function largeObjects(natsUrl: string): Promise<readonly string[]> {
  return withStore(natsUrl, async (store) => {
    const all = await store.list();
    return all.map(({ name }) => name).sort();
  });
}

export function loseObjects(natsUrl: string, names: readonly string[]): Promise<void> {
  return withStore(natsUrl, async (store) => {
    for (const name of names) await store.delete(name);
  });
}

async function withStore<Result>(natsUrl: string, use: (store: ObjectStore) => Promise<Result>): Promise<Result> {
  const connection = await connect({ servers: natsUrl, reconnect: false });
  try {
    return await use(await new Objm(connection).open("millrace_large"));
  } finally {
    await connection.close();
  }
}
