import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PullRequests } from "../../../src/bus/jetstream/consumer/pull-requests.ts";

const BEAT_MS = 5_000;

/** What the client is asked, and what it hands to who listens; nothing is sent anywhere. */
class Wire {
  published: { readonly subject: string; readonly reply: string }[] = [];
  readonly listeners: ((error: Error | null, message: Msg) => void)[] = [];

  readonly nc = {
    info: { max_payload: 1_000_000 },
    isClosed: () => false,
    isDraining: () => false,
    subscribe: (_subject: string, { callback }: { readonly callback: Wire["listeners"][number] }) => {
      this.listeners.push(callback);
      return { unsubscribe: () => {}, isClosed: () => false };
    },
    publish: (subject: string, _text: string, { reply }: { readonly reply: string }) => {
      this.published.push({ subject, reply });
    },
  } as unknown as NatsConnection;

  heartbeat(): void {
    const message = { subject: this.published[0]?.reply, headers: { code: 100, description: "Idle Heartbeat" } };
    this.listeners[0]?.(null, message as unknown as Msg);
  }
}

describe("a subscription's pull requests", () => {
  const wire = new Wire();
  let wanted: { readonly messages: number; readonly uncounted: number } | undefined;
  let silences = 0;
  const requests = new PullRequests(wire.nc, {
    subject: "$JS.API.CONSUMER.MSG.NEXT.CDC_shop.one",
    puller: undefined,
    wanted: () => wanted,
    heard: () => {},
    received: () => {},
    failed: () => {},
    deleted: () => {},
    silent: () => {
      silences++;
    },
  });

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    silences = 0;
  });
  afterEach(() => {
    requests.stop();
    vi.useRealTimers();
  });

  it("are taken for lost where nothing is heard for more than two beats of those that wait, and not before", async () => {
    wanted = undefined;
    requests.start();
    await vi.advanceTimersByTimeAsync(12 * BEAT_MS);
    wanted = { messages: 10, uncounted: 0 };
    requests.ask();
    await vi.advanceTimersByTimeAsync(2 * BEAT_MS);
    expect([wire.published.length, silences]).toEqual([1, 0]);
    wire.heartbeat();
    await vi.advanceTimersByTimeAsync(2 * BEAT_MS);
    expect(silences).toBe(0);
    await vi.advanceTimersByTimeAsync(BEAT_MS);
    expect(silences).toBe(1);
  });
});
