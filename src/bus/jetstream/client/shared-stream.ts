// Streams that belong to no source, written to by every worker: made by whoever comes first.

import {
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from "@nats-io/jetstream";
import { headers, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import { apiCodes } from "./api-codes.ts";
import { asked, orNothing } from "./bus-errors.ts";
import { type Needs, refuseUnfit } from "./stream-fitness.ts";

export interface SharedStream extends Partial<StreamConfig> {
  readonly name: string;
  readonly subjects: string[];
  readonly num_replicas: number;
}

/**
 * Makes it unless it is there; one that is there stays as it is, if it can serve.
 * @param maxBytes asked for only where it is made
 * @throws ConfigError, TransientError
 */
export function makeSharedStream(
  nc: NatsConnection,
  stream: SharedStream,
  needs: Omit<Needs, "subjects"> = {},
  maxBytes?: (jsm: JetStreamManager) => Promise<number>,
): Promise<void> {
  return asked(`open the stream ${stream.name}`, async () => {
    const jsm = await jetstreamManager(nc, { checkAPI: false });
    const { streams } = jsm;
    const found = await orNothing(streams.info(stream.name), apiCodes.streamNotFound);
    if (found) return refuseUnfit(found, { ...needs, subjects: stream.subjects });
    await streams.add({
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      allow_direct: true,
      ...(maxBytes && { max_bytes: await maxBytes(jsm) }),
      ...stream,
    });
  });
}

/** All headers of a message as they came. */
export function headersOf(all: MsgHdrs | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries((all?.keys() ?? []).map((name) => [name, all?.values(name).join(", ") ?? ""]));
}

/** Header lines, each ended by CRLF, for the client. */
export function parseHead(head: string): MsgHdrs {
  const lines = headers();
  for (const line of head.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) lines.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return lines;
}
