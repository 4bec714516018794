// Messages of MongoDB's wire protocol, and BSON put together from parts, so that an event's bytes can be anything.

import { BSON } from "mongodb";

const OP_REPLY = 1;
const OP_QUERY = 2004;
const OP_MSG = 2013;

/** How a client begins that wants TLS. */
const TLS_HELLO = 0x1603;

/** One command of a client. */
export interface Request {
  readonly id: number;
  /** How it came, and so how it is answered. */
  readonly opcode: number;
  readonly body: BSON.Document;
}

/** The command in a whole message. @throws Error for what no driver sends to a server of today */
export function readRequest(message: Buffer): Request {
  const id = message.readInt32LE(4);
  const opcode = message.readInt32LE(12);
  if (opcode === OP_QUERY) {
    // Flags, the name of a collection, how many to skip and to return, and then the query.
    const query = message.indexOf(0, 20) + 9;
    return { id, opcode, body: BSON.deserialize(message.subarray(query, query + message.readInt32LE(query))) };
  }
  if (opcode !== OP_MSG || message[20] !== 0) throw new Error(`the double knows no message of kind ${opcode}`);
  const body = message.subarray(21, 21 + message.readInt32LE(21));
  return { id, opcode, body: BSON.deserialize(body, { promoteLongs: false, promoteValues: true }) };
}

/** The answer to a request. */
export function writeReply({ id, opcode }: Request, document: Uint8Array): Buffer {
  // OP_REPLY: flags, cursor, from where on, how many. OP_MSG: flags, the kind of the only section.
  const head = opcode === OP_QUERY ? Buffer.alloc(20) : Buffer.alloc(5);
  if (opcode === OP_QUERY) head.writeInt32LE(1, 16);
  const frame = Buffer.alloc(16);
  frame.writeInt32LE(16 + head.length + document.length, 0);
  frame.writeInt32LE(id, 8);
  frame.writeInt32LE(opcode === OP_QUERY ? OP_REPLY : OP_MSG, 12);
  return Buffer.concat([frame, head, document]);
}

/** Cuts a stream of bytes into messages. */
export class Messages {
  #rest: Buffer = Buffer.alloc(0);

  *add(bytes: Buffer): Generator<Buffer> {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 4) {
      const size = this.#rest.readInt32LE(0);
      if (size < 16 || this.#rest.readUInt16BE(0) === TLS_HELLO)
        throw new Error("what came is no message of MongoDB's");
      if (this.#rest.length < size) return;
      yield this.#rest.subarray(0, size);
      this.#rest = this.#rest.subarray(size);
    }
  }
}

/** A document of members. */
export function documentOf(...members: readonly Buffer[]): Buffer {
  const size = Buffer.alloc(4);
  const document = Buffer.concat([size, ...members, Buffer.of(0)]);
  document.writeInt32LE(document.length, 0);
  return document;
}

/** Members as they stand in a document. */
export function membersOf(value: BSON.Document): Buffer {
  return Buffer.from(BSON.serialize(value, { ignoreUndefined: true })).subarray(4, -1);
}

/** A member that is a document, given as bytes. */
export function rawMember(name: string, document: Buffer): Buffer {
  return Buffer.concat([Buffer.of(0x03), Buffer.from(`${name}\0`), document]);
}

/** A member that is a list of documents, given as bytes. */
export function rawList(name: string, documents: readonly Buffer[]): Buffer {
  const list = documentOf(...documents.map((one, nth) => rawMember(String(nth), one)));
  return Buffer.concat([Buffer.of(0x04), Buffer.from(`${name}\0`), list]);
}
