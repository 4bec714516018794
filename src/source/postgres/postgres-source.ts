// A Postgres source: its stream, what it is read with, its feedback.

import type { Client, ClientConfig } from "pg";
import { BugError, type HistoryLostError, type MillraceError } from "../../errors.ts";
import { isComplete, type Position } from "../../event/position.ts";
import { onlyPosition, type Positions } from "../../event/positions.ts";
import type { SourceId } from "../../event/source-id.ts";
import type {
  Notice,
  Source,
  SourceContext,
  SourceHeartbeat,
  SourceLag,
  SourceMessage,
  ToldSchemas,
} from "../source.ts";
import { PostgresCopier } from "./backfill/copier.ts";
import { CompositeStates } from "./client/composite-states.ts";
import { displaySettings } from "./client/display-settings.ts";
import { translateError } from "./client/errors.ts";
import { finalOf, historyOf } from "./client/position.ts";
import type { ServerIdentity, Session } from "./client/session.ts";
import { Decoder } from "./decode/decoder.ts";
import { ServerText } from "./decode/encoding/server-text.ts";
import { tellUnread } from "./decode/logical-messages.ts";
import type { Sequencer } from "./decode/sequencer.ts";
import { decodeStream, type FillUnread, type TableBook } from "./decode/stream.ts";
import { describeRelation } from "./describe-relation.ts";
import { KeptRecord } from "./kept-record.ts";
import { explained } from "./kept-slot.ts";
import type { PostgresConfig } from "./options/config.ts";
import type { RuleBook } from "./options/rule-book.ts";
import { cleanUpOutbox } from "./outbox-clean-up.ts";
import { Replication, type ServerNotice } from "./replication/replication.ts";
import { Reselect } from "./reselect/reselect.ts";
import type { ProvidedSlot } from "./slot/first-start.ts";
import type { Resumption } from "./slot/resume.ts";
import { withSlot } from "./slot/slot.ts";
import type { StreamMonitor } from "./slot/stream-monitor.ts";
import { startReplication } from "./start-replication.ts";
import { TableWatch } from "./table-watch.ts";
import { publicationGone } from "./tables/publication.ts";

export interface PostgresSourceOptions {
  readonly id: SourceId;
  readonly config: PostgresConfig;
  readonly context: SourceContext;
  readonly schemas: ToldSchemas;
  readonly session: Session;
  readonly client: ClientConfig;
  readonly slot: ProvidedSlot;
  readonly server: ServerIdentity;
  readonly rules: RuleBook;
  readonly monitor: StreamMonitor;
}

export class PostgresSource implements Source {
  readonly id: SourceId;
  readonly heartbeat: SourceHeartbeat;
  readonly copier: PostgresCopier;
  readonly #options: PostgresSourceOptions;
  readonly #monitor: StreamMonitor;
  readonly #record: KeptRecord;
  #tables: TableWatch | undefined;
  /** Where the newest reading began. */
  #from: Position | undefined;
  #stream: Replication<Resumption> | undefined;
  #started = false;
  /** Exclusive end of what the database may drop; 0 for nothing. */
  #acknowledged = 0n;

  constructor(options: PostgresSourceOptions) {
    this.id = options.id;
    this.#options = options;
    const { slot: provided, session, context } = options;
    this.#record = new KeptRecord({ provided, session, context });
    this.#monitor = options.monitor;
    this.heartbeat = options.monitor;
    this.copier = this.#copier();
  }

  async *read(options: Parameters<Source["read"]>[0]): AsyncGenerator<readonly SourceMessage[], void> {
    const { signal, onStarted } = options;
    const from = onlyPosition(options.from);
    if (this.#stream !== undefined) throw new BugError("ALREADY_READING", "a source has one reader at a time");
    if (signal.aborted) return;
    this.#from = from;
    const { client, config } = this.#options;
    const stream = new Replication({
      client,
      slot: this.#record.current.slot,
      timeoutMs: config.timeoutMs,
      maxRowBytes: config.maxRowBytes,
      prepare: (connection) => this.#prepare(connection, from),
      run: (connection, start) => this.#run(connection, start),
      judge: (notice) => this.#judge(notice),
    });
    const reselect = this.#reselect(signal);
    const close = (): void => {
      void stream.close();
      void reselect?.[Symbol.asyncDispose]();
    };
    const ended = new AbortController();
    this.#stream = stream;
    signal.addEventListener("abort", close);
    try {
      const { began, from: position, start } = await stream.start();
      this.#started = true;
      onStarted?.();
      void this.#monitor.follow(stream); // never rejects
      this.#cleanUp(ended.signal);
      // One from before a loss may be ahead of where the log is read again.
      if (this.#acknowledged <= start) stream.acknowledge(this.#acknowledged);
      yield [began];
      const composites = new CompositeStates(this.#options.session, this.#record.current.slot);
      const decoder = await this.#decoder(position, composites);
      this.#watchTables(stream, decoder.sequencer, position);
      const fill: FillUnread | undefined = reselect && ((messages, unread) => reselect.fill(messages, unread));
      const book = this.#book(composites, stream);
      for await (const messages of decodeStream(stream, decoder, book, fill)) {
        this.copier.handedOut(messages);
        yield messages;
      }
    } catch (error) {
      this.#tables = undefined;
      if (!signal.aborted) throw await explained(translateError(error), this.#options.session, this.#record.current);
    } finally {
      signal.removeEventListener("abort", close);
      ended.abort();
      this.#stream = undefined;
      this.#started = false;
      void this.#monitor.follow(undefined);
      await Promise.all([stream.close(), reselect?.[Symbol.asyncDispose]()]);
    }
  }

  async acknowledge(positions: Positions): Promise<void> {
    const position = onlyPosition(positions);
    if (position === undefined || !isComplete(position))
      throw new BugError("ACKNOWLEDGED_INSIDE", `${position} is inside a transaction`);
    // An earlier history's positions are about a log that is gone.
    if (historyOf(position) !== this.#record.current.history) return;
    this.#acknowledged = finalOf(position) + 1n;
    if (this.#started) this.#stream?.acknowledge(this.#acknowledged); // else it is told as soon as the stream has started
  }

  async giveUp(lost: HistoryLostError): Promise<void> {
    await this.#record.giveUp(lost, this.#from);
  }

  async recorded(id: string): Promise<void> {
    await this.#tables?.recorded(id);
  }

  async lag(signal: AbortSignal): Promise<SourceLag> {
    signal.throwIfAborted();
    return this.#monitor.lag(this.#record.current.slot, this.#record.current.history);
  }

  checkProgress(): Promise<void> {
    return this.#monitor.checkProgress(this.#record.current.slot);
  }

  notices(): readonly Notice[] {
    return this.#tables?.notices ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { session } = this.#options;
    await Promise.all([this.#stream?.close(), this.copier[Symbol.asyncDispose](), session[Symbol.asyncDispose]()]);
  }

  #cleanUp(signal: AbortSignal): void {
    const { session, context, config } = this.#options;
    const { table, keepMs } = config.outbox ?? {};
    if (table === undefined || keepMs === undefined) return;
    void cleanUpOutbox({ source: this.id, table, keepMs, session, log: context.log, signal }); // never rejects
  }

  /** On the very connection that will carry the stream. */
  async #prepare(client: Client, from: Position | undefined): Promise<Resumption> {
    await client.query(`${displaySettings}; SET wal_sender_timeout = ${this.#options.config.timeoutMs}`);
    return this.#record.resume(client, from);
  }

  async #run(client: Client, start: bigint): Promise<void> {
    const { session, server } = this.#options;
    const { slot, publication } = this.#record.current;
    const text = ServerText.of(server.encoding);
    await withSlot(session, slot, () => startReplication(client, { slot, publication, start, text }));
  }

  /** From version 18 on the server only warns when the publication is gone, and leaves its rows out. */
  #judge(notice: ServerNotice): MillraceError | undefined {
    if (notice.severity === "WARNING" && notice.code === "55000")
      return publicationGone(this.#record.current.publication);
    this.#options.context.log.warn("source_notice", { source: this.id, code: notice.code }, notice.message);
    return undefined;
  }

  #book(composites: CompositeStates, stream: Replication<Resumption>): TableBook {
    const { id: source, session, schemas, rules, config, context, server } = this.#options;
    const { version } = server;
    const waiting = (): number => stream.frames.count;
    const options = { source, session, schemas, rules, items: config.tables, version, log: context.log };
    return {
      // A database that is cut off answers neither: the stream is the one that is told of it within its own timeout.
      describe: (relation, at) =>
        Promise.race([describeRelation(relation, at, { ...options, composites, waiting }), stream.failed]),
      composites,
    };
  }

  #copier(): PostgresCopier {
    const { id: source, session, client, schemas, rules, config, context, server } = this.#options;
    // States of its own: the log's are of the frame in hand.
    const composites = new CompositeStates(session, this.#record.current.slot);
    const options = {
      source,
      session,
      schemas,
      rules,
      items: config.tables,
      version: server.version,
      log: context.log,
    };
    return new PostgresCopier({
      ...{ source, log: context.log, client, session, rules, outbox: config.outbox, copies: config.copies },
      version: server.version,
      database: () => `${this.#record.current.systemId}/${this.#record.current.database}`,
      publication: () => this.#record.current.publication,
      history: () => this.#record.current.history,
      describe: (relation) => describeRelation(relation, undefined, { ...options, composites, waiting: () => 0 }),
    });
  }

  /** For tables that ask for it. */
  #reselect(signal: AbortSignal): Reselect | undefined {
    const { config, client, context } = this.#options;
    if (!config.tables.some(({ options }) => options?.toast === "reselect")) return undefined;
    const { maxRowBytes, timeoutMs: patienceMs } = config;
    return new Reselect({ source: this.id, client, maxRowBytes, patienceMs, log: context.log, signal });
  }

  async #decoder(from: Position, composites: CompositeStates): Promise<Decoder> {
    const { rules, config, context, server } = this.#options;
    const { messages, outbox } = config;
    const options = { source: this.id, history: this.#record.current.history, from, rules, messages, outbox };
    const seal = { lineageKey: await context.lineageKey(), onUnreadMessage: tellUnread(this.id, context.log) };
    return new Decoder({ ...options, ...seal, composites, encoding: server.encoding });
  }

  /** While the stream is read; a failure ends it. */
  #watchTables(stream: Replication<Resumption>, sequencer: Sequencer, from: Position): void {
    const { config, server, session, context, rules } = this.#options;
    const watch: TableWatch = new TableWatch({
      source: this.id,
      config,
      publication: this.#record.current.publication,
      version: server.version,
      session,
      context,
      rules,
      known: this.#record.current.published,
      untold: this.#record.current.untold,
      from,
      // What was given up stays so.
      save: (published, untold) =>
        this.#record.setTables(() => (this.#tables === watch ? { published, untold } : undefined)),
    });
    this.#tables = watch;
    void watch.follow({
      goesOn: () => this.#stream === stream,
      tell: (lost) => sequencer.tell(lost),
      fail: (error) => stream.abandon(error),
    });
  }
}
