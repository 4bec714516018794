// The feeder as a child process.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** `asked`: it says how often it was asked for records; else it writes one more of them. */
export type FeederMessage = "asked" | { readonly table: string; readonly shard: number };

export class Feeder implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<Feeder> {
    const child = fork(fileURLToPath(new URL("feeder.ts", import.meta.url)), [], { execArgv: ["--import", "tsx"] });
    const [port] = (await once(child, "message")) as [number];
    return new Feeder(child, port);
  }

  /** How often records were asked for. */
  async asked(): Promise<number> {
    this.#tell("asked");
    const [count] = (await once(this.#child, "message")) as [number];
    return count;
  }

  /** One more record in a table's shard. */
  write(table: string, shard: number): void {
    this.#tell({ table, shard });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill();
    await ended;
  }

  #tell(message: FeederMessage): void {
    this.#child.send(message);
  }
}
