// One event that a command puts into MILLRACE_EVENTS.

import type { WorkerEvent } from "../../../event/worker-event.ts";
import type { BusAccess } from "../client/access.ts";
import { connectOnce } from "../client/connect-once.ts";
import { openWorkerEvents } from "../client/worker-events.ts";

/** Resolves at the bus' acknowledgement; an id that was stored within the last hour is dropped. @throws ConfigError, TransientError */
export async function publishEvent(
  event: WorkerEvent,
  { replicas, signal, ...access }: BusAccess & { readonly replicas: number; readonly signal: AbortSignal },
): Promise<void> {
  await using connection = await connectOnce(access, signal);
  const events = openWorkerEvents(connection.nc, { replicas });
  await events.make({ subjects: [`events.${event.origin}.>`] });
  await events.publish(event);
}
