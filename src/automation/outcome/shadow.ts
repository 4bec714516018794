// What an automation with `shadow: true` would have done to the world: counted by name, never the content.

/** What a handler would have done, as often as it would have: `tx` committed, a domain event emitted in it, a message sent. */
export interface Effect {
  readonly kind: "tx" | "emit" | "send";
  /** The endpoint of what would have been sent. */
  readonly to?: string;
  /** Of the domain event, or of the message. */
  readonly type?: string;
}

/** How an event in shadow would have ended; `dead` has its reason beside it. */
export interface WouldBe {
  readonly would: "done" | "skipped" | "dead";
  readonly effects: readonly (Effect & { readonly count: number })[];
  /** Effects of further kinds than are named. */
  readonly more?: number;
}

/** So many kinds are named: a handler that makes types up must not make a record too large for the bus. */
const MAX_KINDS = 20;
const MAX_NAME = 200;

/** Takes down what one attempt would have done. */
export class Shadow {
  readonly #effects = new Map<string, Effect & { count: number }>();
  #more = 0;

  /** Instead of the effect. */
  note({ kind, to, type }: Effect): void {
    const effect = {
      kind,
      ...(to !== undefined && { to: to.slice(0, MAX_NAME) }),
      ...(type !== undefined && { type: type.slice(0, MAX_NAME) }),
    };
    const key = JSON.stringify(effect);
    const known = this.#effects.get(key);
    if (known !== undefined) known.count++;
    else if (this.#effects.size < MAX_KINDS) this.#effects.set(key, { ...effect, count: 1 });
    else this.#more++;
  }

  /** What has been taken down so far. */
  wouldBe(would: WouldBe["would"]): WouldBe {
    const effects = [...this.#effects.values()].map((effect) => ({ ...effect }));
    return { would, effects, ...(this.#more > 0 && { more: this.#more }) };
  }
}
