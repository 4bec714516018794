// A wake-up between two loops: set it as often as you like, a waiter wakes once.

export class WakeUp {
  #set = false;
  #resolve: (() => void) | undefined;

  set(): void {
    this.#set = true;
    this.#resolve?.();
  }

  /** Resolves at the next `set`, at once when it was set since the last wait. */
  async wait(): Promise<void> {
    if (!this.#set) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
      this.#resolve = undefined;
    }
    this.#set = false;
  }
}
