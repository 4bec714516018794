// Where tx() runs when a test gives no database: its own statements (inbox, lineage, outbox) are answered from memory, by the
// inbox's one rule; those of the handler's work go to what the test gives as its client.

import { Silence } from "../automation/tx/silence.ts";
import type { TxDatabase } from "../automation/tx/tx.ts";
import type { Clock } from "../clock.ts";

interface Answer {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
}

const nothing: Answer = { rows: [] };
const ROLE = "none";

export class MemoryTransactions {
  readonly database: TxDatabase;
  readonly #inbox = new Set<string>();
  #transactions = 0;

  constructor(clock: Clock) {
    this.database = {
      home: { check: async () => ({}) },
      silence: new Silence(clock),
      transaction: async (work) => {
        const session = new Session(String(++this.#transactions), this.#inbox);
        const result = await work(session);
        for (const entry of session.entries) this.#inbox.add(entry);
        return result;
      },
    };
  }
}

/** One transaction: what it has entered counts once it is committed. */
class Session {
  readonly entries: string[] = [];
  readonly #xid: string;
  readonly #inbox: ReadonlySet<string>;

  constructor(xid: string, inbox: ReadonlySet<string>) {
    this.#xid = xid;
    this.#inbox = inbox;
  }

  async query(text: string, values: readonly string[]): Promise<Answer> {
    if (text.includes("millrace.emit(")) return { rows: [{ written: values[4] }] };
    if (/^insert into millrace\.inbox/.test(text)) return this.#enter(values);
    if (text.includes("from millrace.inbox")) return nothing;
    return { rows: [{ xid: this.#xid, role: ROLE }] };
  }

  #enter(values: readonly string[]): Answer {
    const entry = JSON.stringify(values);
    if (this.#inbox.has(entry)) return nothing;
    this.entries.push(entry);
    return { rows: [{ xid: this.#xid, role: ROLE }] };
  }
}
