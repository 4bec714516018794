// Many signed requests over kept connections, and what was answered to each: as a provider's machines send, not as one test client.

import { createHmac } from "node:crypto";
import { Agent, request } from "node:http";
import { SECRET } from "../ingress.ts";
import { waitFor } from "../wait-for.ts";

/** A delivery of the receiver `erp` of test/support/ingress.ts. */
export interface Delivery {
  readonly id: string;
  readonly body: string;
}

export function delivery(id: string, padding = 200): Delivery {
  return { id, body: JSON.stringify({ event: "burst", id, padding: "x".repeat(padding) }) };
}

/** Senders that keep their connections. Disposing of it closes them. */
export class Senders implements Disposable {
  readonly #agent: Agent;

  constructor(connections: number) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** Sends it once. @returns the status; 0 where no answer came */
  send(port: number, { id, body }: Delivery): Promise<number> {
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      "x-delivery": id,
      "x-signature": createHmac("sha256", SECRET).update(body).digest("hex"),
    };
    return new Promise((resolve) => {
      const asked = request(
        { host: "127.0.0.1", port, path: "/in/erp", method: "POST", agent: this.#agent, headers },
        (answer) => {
          answer.on("error", () => resolve(0)).on("end", () => resolve(answer.statusCode ?? 0));
          answer.resume();
        },
      );
      asked.on("error", () => resolve(0)).end(body);
    });
  }

  /** As a provider that tries again until it is taken. */
  async sendUntilTaken(port: number, one: Delivery, timeoutMs = 60_000): Promise<void> {
    await waitFor(async () => (await this.send(port, one)) === 200, { what: `${one.id} to be taken`, timeoutMs });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

/** Does it for each, so many at once, in their order. */
export async function forEach<T>(all: readonly T[], atOnce: number, one: (of: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < all.length) await one(all[next++] as T);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}
