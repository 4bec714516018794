// How many messages a source's stream holds, asked without reading them.

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

/** Row events of all lanes, and markers; none while there is no stream. */
export async function countMessages(
  natsUrl: string,
  source: string,
): Promise<{ readonly events: number; readonly markers: number }> {
  const connection = await connect({ servers: natsUrl, reconnect: false });
  try {
    const manager = await jetstreamManager(connection);
    const stream = `CDC_${source.toUpperCase()}`;
    if (!(await manager.streams.names().next()).includes(stream)) return { events: 0, markers: 0 };
    const { state } = await manager.streams.info(stream, { subjects_filter: "cdc.>" });
    const events = Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
    return { events, markers: state.messages - events };
  } finally {
    await connection.close();
  }
}
