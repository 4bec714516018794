// Three nats-servers that are one cluster.

import { jetstreamManager, StorageType, type StreamInfo } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { freePort } from "../../../src/dev/free-port.ts";
import type { NatsServer } from "../../../src/dev/nats-server.ts";
import { freshNats } from "../servers.ts";
import { waitFor } from "../wait-for.ts";

const NAMES = ["n1", "n2", "n3"] as const;

export class NatsCluster implements AsyncDisposable {
  /** By their names in the cluster. */
  readonly nodes: ReadonlyMap<string, NatsServer>;

  private constructor(nodes: ReadonlyMap<string, NatsServer>) {
    this.nodes = nodes;
  }

  /** @param syncInterval of each node. Default `always`. */
  static async start(syncInterval = "always"): Promise<NatsCluster> {
    const ports = await Promise.all(NAMES.map(() => freePort()));
    const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
    // At once: none answers before two are there.
    const servers = await Promise.all(
      NAMES.map((name, n) =>
        freshNats({
          syncInterval,
          config: `server_name: ${name}\ncluster { name: test, listen: "127.0.0.1:${ports[n]}", routes: [${routes}] }`,
        }),
      ),
    );
    return new NatsCluster(new Map(NAMES.map((name, n) => [name, servers[n] as NatsServer])));
  }

  get urls(): readonly string[] {
    return [...this.nodes.values()].map(({ url }) => url);
  }

  node(name: string | undefined): NatsServer {
    const node = this.nodes.get(name ?? "");
    if (node === undefined) throw new Error(`no node ${name}`);
    return node;
  }

  /** Rejects while nobody leads it. */
  async stream(name: string): Promise<StreamInfo> {
    const connection = await connect({ servers: [...this.urls], reconnect: false, timeout: 2_000 });
    try {
      return await (await jetstreamManager(connection, { timeout: 2_000, checkAPI: false })).streams.info(name);
    } finally {
      await connection.close();
    }
  }

  /** Waits until its meta leader counts on every server: before that a stream gets no three copies. */
  async formed(): Promise<void> {
    const connection = await connect({ servers: [...this.urls], timeout: 2_000 });
    try {
      const { streams } = await jetstreamManager(connection, { timeout: 2_000, checkAPI: false });
      const probe = { name: "formed", subjects: ["formed"], storage: StorageType.Memory, num_replicas: NAMES.length };
      await waitFor(() => streams.add(probe), { what: "a stream of three copies", timeoutMs: 90_000 });
      await streams.delete(probe.name);
    } finally {
      await connection.close();
    }
  }

  /** Waits for a leader with so many followers that have all it has; resolves to its name. */
  async settled(name: string, followers = NAMES.length - 1): Promise<string> {
    const look = async (): Promise<string | undefined> => {
      const { cluster } = await this.stream(name);
      const current = cluster?.replicas?.filter((replica) => replica.current && replica.offline !== true) ?? [];
      return current.length >= followers ? cluster?.leader : undefined;
    };
    return waitFor(look, { what: `${name} to have a leader and ${followers} followers`, timeoutMs: 90_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.kill()));
  }
}
