// What the writer needs of a JetStream server, as small as it can be: the real one is `jetstream-port.ts`; the tests
// of the publish and recovery protocol run the same writer against a scripted one.

/** JetStream's own limit on the messages of one atomic batch. */
export const MAX_BATCH_MESSAGES = 1000;

/** A message as it is stored. */
export interface StoredMessage {
  readonly seq: number;
  readonly subject: string;
  header(name: string): string | undefined;
  readonly data: Uint8Array;
}

export interface StreamState {
  /** When the stream was made, as the server prints it: another text means another stream of the same name. */
  readonly created: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** A message ready for the socket: the whole header block, and the body. */
export interface Encoded {
  readonly subject: string;
  readonly headers: Uint8Array;
  readonly data: Uint8Array;
}

export interface PublishAck {
  /** Sequence of the last message. */
  readonly seq: number;
  /** The batch's id; undefined for a lone message. */
  readonly batch: string | undefined;
  readonly count: number;
}

/** The server refused a publish; `apiCode` is JetStream's `err_code`. Nothing of it is stored. */
export class PublishRefused extends Error {
  readonly apiCode: number;
  constructor(apiCode: number, message: string) {
    super(message);
    this.name = "PublishRefused";
    this.apiCode = apiCode;
  }
}

/** One stream of one source, on one connection. All methods reject with TransientError while the bus is away. */
export interface StreamPort {
  /** How many messages an atomic batch may hold. */
  readonly maxBatchMessages: number;
  /** Undefined when there is no such stream. */
  info(): Promise<StreamState | undefined>;
  /** Makes the stream, its first message to have this sequence. @throws ConfigError */
  create(firstSeq: number): Promise<StreamState>;
  /** Through the stream's leader. Undefined when nothing is stored under that number. */
  read(seq: number): Promise<StoredMessage | undefined>;
  /**
   * Whether somebody took this message out of the stream: the leader stores a later one and not this one. What a leader has not
   * got yet it lacks from some number on.
   */
  isRemoved(seq: number): Promise<boolean>;
  /** The newest message of a subject, through the leader. */
  readLast(subject: string): Promise<StoredMessage | undefined>;
  /** The first message with this sequence or a later one of the subjects with any last token, `*`, through the leader. */
  readNext(seq: number, subject: `${string}*`): Promise<StoredMessage | undefined>;
  /** The highest sequence that any consumer was given. */
  highestDelivered(): Promise<number>;
  /**
   * Sends messages as one atomic batch (a single one as a plain publish). One at a time.
   * @throws PublishRefused when the server says no; TransientError when the answer is lost or late
   */
  send(batch: readonly Encoded[]): Promise<PublishAck>;
  /**
   * A round trip to the servers that keep the stream, its checkpoints, bodies and dead letters, for time that is known to be
   * lived through: the server that this process is connected to may be another one.
   */
  ping(): Promise<void>;
  /** Called when what was sent may be lost or another server may answer: disconnect, new leader. Returns the way to stop. */
  onDisruption(listener: () => void): () => void;
}

/** A stream that is read without the right to write it. */
export type StreamReader = Pick<StreamPort, "read" | "readLast" | "readNext">;
