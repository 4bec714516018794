// Bodies that are too large for a message: in the object store `millrace_large`, in the format of all NATS clients.
//
// Nothing that is stored here is ever purged but by age, or with its whole source. A body's chunks are all stored before the entry that
// names them, and no other writer, of whatever age, can take them away: so an entry that can be read stands for a whole body.

import { createHash, randomBytes } from "node:crypto";
import { JetStreamApiError, type JetStreamManager, jetstream } from "@nats-io/jetstream";
import { type ObjectInfo, type ObjectStore, Objm } from "@nats-io/obj";
import { headers, type NatsConnection, nanos } from "@nats-io/transport-node";
import { realClock } from "../../../clock.ts";
import { TransientError } from "../../../errors.ts";
import { type DataRef, LARGE_BUCKET } from "../../../event/data-ref.ts";
import type { StreamMessage } from "../../../event/message.ts";
import type { SourceId } from "../../../event/source-id.ts";
import { dataRefTo, pointerTo } from "../../claim-check.ts";
import { apiCodes } from "../client/api-codes.ts";
import { LARGE_STREAM } from "../client/buckets.ts";
import { asked, busError, isApiError, orNothing } from "../client/bus-errors.ts";
import { findStream } from "../client/streams.ts";

export interface LargeBodiesOptions {
  readonly nc: NatsConnection;
  readonly jsm: JetStreamManager;
  readonly replicas: number;
}

const CHUNK_BYTES = 512 * 1024;
const AGAIN_MS = 500;
/** A body is stored before its event, which may wait for long: it lives by this much longer than the stream's messages. */
const LONGER_MS = 24 * 60 * 60_000;
/** A body that was stored longer ago, by a worker that did not come to its event, is stored anew. */
const REUSE_MS = LONGER_MS / 2;

export class LargeBodies {
  readonly #options: LargeBodiesOptions;
  /** Sources whose events are known not to outlive the bucket's objects. */
  readonly #ready = new Set<SourceId>();
  readonly #store: Promise<ObjectStore>;

  constructor(options: LargeBodiesOptions) {
    this.#options = options;
    this.#store = new Objm(options.nc).open(LARGE_BUCKET, false); // asks the server nothing
    this.#store.catch(() => {}); // whoever uses it hears of it
  }

  /**
   * Stores the body of a source's message; resolves to the message that stands for it, once the body is acknowledged. A
   * bus that is away is waited for until the signal.
   * @throws TransientError when the bus refuses it for now or it ended by the signal; ConfigError
   */
  async claim(source: SourceId, message: StreamMessage, signal: AbortSignal): Promise<StreamMessage> {
    const { data } = message;
    const ref = dataRefTo(message);
    for (;;) {
      try {
        if (!this.#ready.has(source)) await this.#makeBucket(source);
        this.#ready.add(source);
        if (!(await this.#isStored(ref))) await this.#put(ref, data);
        return pointerTo(message, ref);
      } catch (thrown) {
        this.#ready.delete(source); // somebody may have deleted it
        const error = busError(thrown, "store a large body");
        const answered = thrown instanceof JetStreamApiError && !isApiError(thrown, apiCodes.streamNotFound);
        if (answered || !(error instanceof TransientError) || signal.aborted || this.#options.nc.isClosed())
          throw error;
      }
      await realClock.sleep(AGAIN_MS, signal); // the next try tells
    }
  }

  /**
   * The body of an event, checked against its size before it is read and its digest after; undefined while it is not
   * there, or not whole.
   * @throws TransientError while the bus is away
   */
  async fetch(ref: DataRef): Promise<Uint8Array | undefined> {
    const { sizeBytes, sha256 } = ref;
    const info = await this.#find(ref);
    if (info === undefined) return undefined;
    const data = Buffer.allocUnsafeSlow(sizeBytes);
    const whole = await asked("read a large body", async () => {
      for (let at = 0, seq = 1; at < sizeBytes; ) {
        const chunk = await this.#options.jsm.direct.getMessage(LARGE_STREAM, {
          seq,
          next_by_subj: chunkSubject(info.nuid),
        });
        if (chunk === null || chunk.data.length === 0 || at + chunk.data.length > sizeBytes) return false;
        data.set(chunk.data, at);
        at += chunk.data.length;
        seq = chunk.seq + 1;
      }
      return true;
    });
    return whole && createHash("sha256").update(data).digest("hex") === sha256 ? data : undefined;
  }

  /** Whether the whole body is there. @throws TransientError while the bus is away, ConfigError */
  async has(ref: DataRef): Promise<boolean> {
    const info = await this.#find(ref);
    if (info === undefined) return false;
    const ask = () => orNothing(this.#hasChunks(info), apiCodes.streamNotFound);
    return (await asked("look for a large body", ask)) ?? false;
  }

  /** The entry of this very body. */
  async #find({ name, sizeBytes, sha256 }: DataRef): Promise<ObjectInfo | undefined> {
    const found = this.#store.then((store) => store.info(name));
    const info = await asked("look for a large body", () =>
      orNothing(found, apiCodes.streamNotFound, apiCodes.noMessageFound),
    );
    return info?.size === sizeBytes && info.digest === digestText(sha256) ? info : undefined;
  }

  async #hasChunks({ nuid, chunks }: ObjectInfo): Promise<boolean> {
    const subject = chunkSubject(nuid);
    const { state } = await this.#options.jsm.streams.info(LARGE_STREAM, { subjects_filter: subject });
    return state.subjects?.[subject] === chunks;
  }

  /** By a worker that died, or was interrupted, before its event was. */
  async #isStored(ref: DataRef): Promise<boolean> {
    const info = await this.#find(ref);
    return info !== undefined && Date.now() - Date.parse(info.mtime) < REUSE_MS && this.#hasChunks(info);
  }

  /** Not by the client's `put`: when that fails, it takes away what another writer's entry may have come to name. */
  async #put({ name, sizeBytes, sha256 }: DataRef, data: Uint8Array): Promise<void> {
    const { nc } = this.#options;
    const js = jetstream(nc);
    const nuid = randomBytes(16).toString("hex");
    const size = Math.min(CHUNK_BYTES, nc.info?.max_payload ?? CHUNK_BYTES);
    for (let at = 0; at < sizeBytes; at += size)
      await js.publish(chunkSubject(nuid), data.subarray(at, Math.min(at + size, sizeBytes)));
    const entry = {
      name,
      bucket: LARGE_BUCKET,
      nuid,
      size: sizeBytes,
      chunks: Math.ceil(sizeBytes / size),
      mtime: new Date().toISOString(),
      digest: digestText(sha256),
      deleted: false,
      options: { max_chunk_size: size },
    };
    const rollup = headers();
    rollup.set("Nats-Rollup", "sub");
    await js.publish(entrySubject(name), JSON.stringify(entry), { headers: rollup });
  }

  /** Makes the bucket, or lets its objects live longer, so that none goes before the event that points to it. */
  async #makeBucket(source: SourceId): Promise<void> {
    const { nc, jsm, replicas } = this.#options;
    const stream = await findStream(jsm, source);
    const age = stream?.config.max_age ?? 0;
    const ttl = age === 0 ? 0 : age + nanos(LONGER_MS);
    await new Objm(nc).create(LARGE_BUCKET, { ttl, replicas });
    const { config } = await jsm.streams.info(LARGE_STREAM);
    if (config.max_age === 0 || (ttl > 0 && config.max_age >= ttl)) return;
    await jsm.streams.update(LARGE_STREAM, { max_age: ttl });
  }
}

function chunkSubject(nuid: string): string {
  return `$O.${LARGE_BUCKET}.C.${nuid}`;
}

export function entrySubject(name: string): string {
  return `$O.${LARGE_BUCKET}.M.${base64(Buffer.from(name))}`;
}

function digestText(sha256: string): string {
  return `SHA-256=${base64(Buffer.from(sha256, "hex"))}`;
}

/** As all clients write it: for urls, padded. */
function base64(bytes: Buffer): string {
  return bytes.toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

/** Takes away one body; what is not there is fine. @param subject of its entry */
export async function removeBody({ streams }: JetStreamManager, subject: string): Promise<void> {
  const removed = async (): Promise<void> => {
    const entry = await streams.getMessage(LARGE_STREAM, { last_by_subj: subject });
    const nuid = entry?.json<{ readonly nuid?: unknown }>().nuid;
    if (typeof nuid === "string") await streams.purge(LARGE_STREAM, { filter: chunkSubject(nuid) });
    await streams.purge(LARGE_STREAM, { filter: subject }); // last: without it its chunks are not found again
  };
  await orNothing(removed(), apiCodes.streamNotFound, apiCodes.noMessageFound);
}

/** Takes away the bodies of a source's large events, once its stream is gone and nothing points to them. */
export async function removeLargeBodies(jsm: JetStreamManager, source: SourceId): Promise<void> {
  const entries = `$O.${LARGE_BUCKET}.M.`;
  const listed = jsm.streams.info(LARGE_STREAM, { subjects_filter: `${entries}>` });
  const found = await orNothing(listed, apiCodes.streamNotFound);
  for (const subject of Object.keys(found?.state.subjects ?? {})) {
    // An entry's name begins with the id of its event, and that with the source's.
    const name = Buffer.from(subject.slice(entries.length), "base64url").toString();
    if (name.startsWith(`${source}.`)) await removeBody(jsm, subject);
  }
}
