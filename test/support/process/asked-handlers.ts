// Automations of a built worker whose handlers ask the test what to do, so that the test knows of each start, and an event
// waits, fails or is held in hand just where the test wants it.

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One start of a handler. */
export interface Start {
  readonly automation: string;
  /** The variable `WORKER` of the process. */
  readonly worker: string;
  /** Of the order. */
  readonly id: number;
  readonly attempt: number;
  readonly eventId: string;
  /** Of the order's note. */
  readonly length: number;
}

/** What a handler does: ends, throws, gives up; undefined leaves it waiting until `release`. */
export type Answer = "ok" | "fail" | "fatal" | undefined;

/** Disposing of it breaks the handlers that wait. */
export class AskedHandlers implements AsyncDisposable {
  /** Each start, in the order of their coming. */
  readonly starts: Start[] = [];
  /** Says what a handler does. */
  answer: (start: Start) => Answer = () => "ok";
  readonly #server: Server;
  readonly #waiting = new Map<ServerResponse, string>();

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => void this.#ask(request, response));
  }

  static async listen(): Promise<AskedHandlers> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new AskedHandlers(server);
  }

  /** The automations whose handlers wait. */
  get waiting(): readonly string[] {
    return [...this.#waiting.values()].sort();
  }

  /** Those of an automation that wait end well. */
  release(automation: string): void {
    for (const [response, of] of this.#waiting) if (of === automation) response.end("ok");
  }

  /** The starts of one automation, of one worker's where that is named. */
  of(automation: string, worker?: string): readonly Start[] {
    return this.starts.filter((start) => start.automation === automation && start.worker === (worker ?? start.worker));
  }

  /**
   * A module of automations on `public.orders` (`id`, `note`): `mail` one at a time, `slow` with retries five seconds apart,
   * `receipt` with an effect in `effects` and an event by `tx`, and `hears` on that event with an effect of its own.
   */
  module(databaseUrl: string): string {
    const { port } = this.#server.address() as AddressInfo;
    return `
import { createRequire } from "node:module";
import { automation, collection, event as domain } from "millrace";
const { Pool } = createRequire(${JSON.stringify(import.meta.url)})("pg");
const db = new Pool({ connectionString: ${JSON.stringify(databaseUrl)} });
const on = collection("shop", "public.orders").created();
const ask = async (automation, { event, attempt, fatal }, { id, note }) => {
  const start = { automation, worker: process.env.WORKER, id, attempt, eventId: event.id, length: note?.length ?? 0 };
  const answer = await (await fetch("http://127.0.0.1:${port}/", { method: "POST", body: JSON.stringify(start) })).text();
  if (answer === "fatal") throw fatal("no");
  if (answer === "fail") throw new Error("not yet");
};
export const mail = automation("mail", { on, concurrency: 1, timeout: "2m" }, (context) => ask("mail", context, context.event.after));
export const slow = automation("slow", { on, retry: { attempts: 3, min: "15s", max: "15s" } }, (context) => ask("slow", context, context.event.after));
const once = (automation, context, data, also) =>
  context.tx(async ({ client, emit }) => {
    await client.query("insert into effects values ($1, $2)", [automation, data.id]);
    await also?.(emit);
    await ask(automation, context, data);
  });
export const receipt = automation("receipt", { on, db, timeout: "2m" }, (context) => {
  const { id } = context.event.after;
  return once("receipt", context, context.event.after, (emit) => emit("order.receipt", { key: id, data: { id } }));
});
export const hears = automation("hears", { on: domain("order.receipt"), db, timeout: "2m" }, (context) =>
  once("hears", context, context.event.data));
`;
  }

  async #ask(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const start = JSON.parse(Buffer.concat(chunks).toString("utf8")) as Start;
    this.starts.push(start);
    const answer = this.answer(start);
    if (answer !== undefined) {
      response.end(answer);
      return;
    }
    this.#waiting.set(response, start.automation);
    response.once("close", () => this.#waiting.delete(response));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
