// The library's replication service, which connects as all our sessions do: several hosts, TLS and passwords as libpq has them.

import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import type { Client, ClientConfig } from "pg";
import { LogicalReplicationService } from "pg-logical-replication";
import { connectClient } from "../client/dial.ts";

/** The driver's connection, as far as it is used here; it has no public type. */
export interface WireConnection extends EventEmitter {
  readonly stream: Duplex;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

export function replicationService(config: ClientConfig): LogicalReplicationService {
  // The library's own acknowledgements are off: they confirm what was only received, and one byte too much.
  const service = new LogicalReplicationService(config, { acknowledge: { auto: false, timeoutSeconds: 0 } });
  const client = async (): Promise<[Client, WireConnection]> => {
    await service.stop();
    const connected = await connectClient({ ...config, replication: "database" } as ClientConfig);
    connected.on("error", (error) => service.emit("error", error));
    const { connection } = connected as unknown as { readonly connection: WireConnection };
    Object.assign(service, { _client: connected, _connection: connection });
    return [connected, connection];
  };
  return Object.assign(service, { client });
}
