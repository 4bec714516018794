// What handlers of Millrace's own (of rules, of `send`) do to the world beyond `tx`. What users write has no part in it.

import type { WorkerEvent } from "../../event/worker-event.ts";

/** Where it stands in what a handler is given. Looked up by name: a user's module may load its own copy of this package. */
export const effects: unique symbol = Symbol.for("millrace.effects");

/** In shadow each of them is taken down, and not made. */
export interface Effects {
  /**
   * Stores a domain event, caused by the one that is handled; resolves at the bus' acknowledgement. Its id must be the same in
   * each attempt: of those within three days one is stored.
   * @throws Retry while the bus is away
   */
  publish(event: WorkerEvent): Promise<void>;
  /** Gives a message to an endpoint; resolves once it was taken. @throws what the attempt fails by, or `Waiting` */
  send(endpoint: string, message: unknown): Promise<void>;
}

/** @param context what a handler was given */
export function effectsOf(context: object): Effects {
  return (context as { readonly [effects]: Effects })[effects];
}
