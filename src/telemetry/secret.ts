// A value that must not be printed: whoever needs it asks for it by name.

import { inspect } from "node:util";

/** Holds a secret, or a whole configuration with one inside; prints as `[redacted]` everywhere. */
export class Secret<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return "[redacted]";
  }

  toJSON(): string {
    return "[redacted]";
  }

  [inspect.custom](): string {
    return "[redacted]";
  }
}
