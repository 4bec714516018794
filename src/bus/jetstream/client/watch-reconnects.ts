// Hears of each reconnect of a connection, of what its user may not publish to, and of its end, until it is stopped.

import { type NatsConnection, PermissionViolationError, type Status } from "@nats-io/transport-node";

export function watchReconnects(
  nc: NatsConnection,
  reconnected: () => void,
  closed: () => void,
  denied: (subject: string) => void,
): { stop(): void } {
  // The client's type hides that its status iterator can be stopped; without that each subscription leaks one.
  const statuses = nc.status() as AsyncIterable<Status> & { stop(): void };
  let stopped = false;
  const watch = async (): Promise<void> => {
    for await (const status of statuses) {
      if (status.type === "reconnect") reconnected();
      if (status.type !== "error" || !(status.error instanceof PermissionViolationError)) continue;
      if (status.error.operation === "publish") denied(status.error.subject);
    }
    if (!stopped) closed();
  };
  watch().catch(closed);
  return {
    stop: () => {
      stopped = true;
      statuses.stop();
    },
  };
}
