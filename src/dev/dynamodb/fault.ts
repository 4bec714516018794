// What the double refuses, as the server names it.

export class DynamoFault extends Error {
  /** The exception's name. */
  readonly type: string;
  readonly status: number;
  /** Members of the answer beside its type and message. */
  readonly more: Readonly<Record<string, unknown>>;

  constructor(type: string, message: string, status = 400, more: Readonly<Record<string, unknown>> = {}) {
    super(message);
    this.name = type;
    this.type = type;
    this.status = status;
    this.more = more;
  }
}

/** The request says something that cannot be. */
export function invalid(message: string): DynamoFault {
  return new DynamoFault("ValidationException", message);
}

/** There is no such table, stream or shard. */
export function notFound(what: string): DynamoFault {
  return new DynamoFault("ResourceNotFoundException", `Requested resource not found: ${what} not found`);
}

/** The operation, or a part of it, is not modelled: said aloud, for a test must not take it for an answer of the server. */
export function notModelled(what: string): DynamoFault {
  return invalid(`${what} is not modelled by this double`);
}

/** Instead of an answer the connection breaks. */
export class ConnectionReset extends Error {}
