// What an automation is: triggers, a handler, and the policy around it, checked where it is written.

import { automationBrand, madeBy } from "../../config/made-by.ts";
import type { ChangeEvent } from "../../event/change-event.ts";
import { type DurationInput, durationMs } from "../outcome/duration-ms.ts";
import { invalid, refuseUnknown } from "../outcome/invalid.ts";
import type { Fatal, Retry, RetryOptions, Skip } from "../outcome/outcome.ts";
import { type RetryPolicy, type RetryPolicyInput, retryPolicy } from "../outcome/retry-policy.ts";
import { type SendsTo, sendsTo } from "../outcome/sending.ts";
import { LearningPattern } from "../pattern/learning-pattern.ts";
import type { PatternOf } from "../pattern/pattern-of.ts";
import type { Schedule } from "../schedule/timetable.ts";
import type { ClientOf, Database, PgClient } from "../tx/transaction.ts";
import type { RunTx } from "../tx/tx.ts";
import type { WithCopies } from "./change-events.ts";
import { includingBackfill } from "./include-backfill.ts";
import { oneOf, orderOf, refuseNoFunction, startOf, triggersOf } from "./option-values.ts";
import { type NamedColumns, namedColumns, neededImages } from "./reads.ts";
import type { AnyEvent, NeededImages, Trigger } from "./trigger.ts";

/** What a handler logs; each line carries the automation, the event's id and the attempt. Never log row values. */
export type HandlerLog = Readonly<
  Record<"debug" | "info" | "warn" | "error", (text: string, fields?: Readonly<Record<string, unknown>>) => void>
>;

export interface HandlerContext<Event = ChangeEvent, Client = PgClient> {
  readonly event: Event;
  /** From 1: how often a handler was started for this event. */
  readonly attempt: number;
  /** Names the replay that this is part of: it is meant to act again. Undefined for the event's first run. */
  readonly run: string | undefined;
  /**
   * Whether the automation runs in shadow: its `tx` is rolled back and nothing that it sends is sent. What the handler does past
   * these (a `fetch` of its own) is its own to leave out.
   */
  readonly shadow: boolean;
  /** Aborts at the timeout; give it to whatever waits. */
  readonly signal: AbortSignal;
  readonly log: HandlerLog;
  /**
   * Inbox entry, effect and emitted events in one transaction on `db`: one effect, however often the event is delivered.
   * Once a handler. Resolves to what the work resolves to, or to undefined, without running it, when the event had its
   * effect before: then the event ends as skipped.
   */
  readonly tx: RunTx<Client>;
  /** `return skip("why")`: nothing to do; acked and counted as skipped. */
  skip(reason: string): Skip;
  /** `throw retry({ after: "30s" })`: try again later; the attempt counts, but not with `unavailable: "the mail server"`. */
  retry(options: RetryOptions): Retry;
  /** `throw fatal("why")`: a dead letter now. */
  fatal(reason: string): Fatal;
}

/** Returning acks; throwing is retried by the policy. May run more than once for an event: at least once. */
export type Handler<Event = ChangeEvent, Client = PgClient> = (
  context: HandlerContext<Event, Client>,
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler may hand back another function's promise of nothing
) => Skip | void | Promise<Skip | void>;

/** Whether the handler is started for an event. */
export type Filter<Event = ChangeEvent> = (context: { readonly event: Event }) => boolean | Promise<boolean>;

/** The event that a trigger, or one of a list of them, hands to the handler. */
export type EventOf<On> = On extends readonly (infer One)[]
  ? EventOf<One>
  : On extends Trigger<infer Event>
    ? Event
    : never;

/** What the handler gets: with the copied rows, where the automation includes them. */
type HandledBy<On, Copies extends boolean> = true extends Copies ? WithCopies<EventOf<On>> : EventOf<On>;

export interface AutomationOptions<On, Db extends Database = Database, Copies extends boolean = false> {
  readonly on: On;
  /**
   * `true`: each trigger `created` takes the rows too that a copy of the collection stores (`millrace backfill`, op `read`). Default
   * `false`: a copy must not send ten thousand mails.
   */
  readonly includeBackfill?: Copies;
  /**
   * A pattern over the event, with EventBridge's semantics: `{ after: { total: [{ numeric: [">", 100] }] } }`. An event that does
   * not match ends as filtered, and no handler is started. It must fit each trigger of a list; a branch of `$or` one of them.
   */
  readonly where?: PatternOf<HandledBy<NoInfer<On>, NoInfer<Copies>>>;
  /**
   * What only code can ask, behind `where`: `({ event }) => event.after.note !== "test"`. An event of which it says false ends as
   * filtered. It is part of the attempt: one that throws, or is not done by the timeout, is a failed attempt.
   */
  readonly filter?: Filter<HandledBy<NoInfer<On>, NoInfer<Copies>>>;
  readonly retry?: RetryPolicyInput;
  /**
   * Whether trying again is of use: `(error) => error instanceof NetworkError`. Of an error of which it says false the event is a dead
   * letter now, as by `fatal`. One that throws counts as true. Not asked where the handler throws `retry` or `fatal`.
   */
  readonly retryable?: (error: unknown) => boolean;
  /** Then the attempt counts as failed and `signal` aborts. Default `30s`. */
  readonly timeout?: DurationInput;
  /** Handlers at once. Default 10, at most 256. */
  readonly concurrency?: number;
  /**
   * `key`: of events of one key the next begins only when the one before is settled for good; other keys go on beside it. By
   * default they run as they come.
   */
  readonly order?: "key";
  /**
   * With `order: "key"`, when an event's attempts are used up: `dead`, it becomes a dead letter and its key goes on; or
   * `block`, its key stands still until a person resumes or drops it (`millrace automations keys`). Default `dead`.
   */
  readonly onExhausted?: "dead" | "block";
  /** Where `tx` opens its transactions: a pool of pg, a database of drizzle, or what postgres.js makes. Default: `defaults.db`. */
  readonly db?: Db;
  /**
   * Where a new automation begins in the stream: `now`, `earliest`, or at what the bus stored at a time or later,
   * `"2026-11-01T00:00:00Z"`. Default `now`.
   */
  readonly start?: "now" | "earliest" | (string & {});
  /**
   * When events left the stream before they were settled: `stop` the automation and say so, or `continue` behind them,
   * with a `system("gap")` event that names them. Default `stop`; `run --adopt` continues once.
   */
  readonly onGap?: "stop" | "continue";
  /**
   * When what its `tx` did to a row brings the same row back to it: `stop`, the event is a dead letter with the reason
   * `cycle`; or `allow`, for one that takes a row through its states step by step. `defaults.maxHops` bounds both. Default
   * `stop`.
   */
  readonly cycles?: "stop" | "allow";
  /**
   * Runs the handler and records what it would have done (outcome `shadow` of the event log), and does none of it: `tx` is rolled
   * back, nothing is sent, nothing becomes a dead letter. Default `false`.
   */
  readonly shadow?: boolean;
}

export interface Automation {
  readonly [automationBrand]: true;
  /** Version of the package. */
  readonly madeBy: string;
  readonly id: string;
  readonly triggers: readonly Trigger[];
  /** When the clock starts it. */
  readonly schedule: Schedule | undefined;
  /** What must be in its events: what triggers say that the handler reads, and what `where` cannot hold without. */
  readonly needs: readonly NeededImages[];
  /** Columns that its triggers and `where` name of collections of which nothing is declared. */
  readonly names: readonly NamedColumns[];
  /** `where` as each trigger's events are held against it; undefined where all of them pass. */
  readonly where: ReadonlyMap<Trigger, LearningPattern> | undefined;
  readonly filter: Filter<AnyEvent> | undefined;
  readonly retry: RetryPolicy;
  readonly retryable: ((error: unknown) => boolean) | undefined;
  readonly timeoutMs: number;
  readonly concurrency: number;
  readonly order: "key" | undefined;
  readonly onExhausted: "dead" | "block";
  readonly start: "now" | "earliest" | Date;
  readonly onGap: "stop" | "continue";
  readonly cycles: "stop" | "allow";
  readonly shadow: boolean;
  readonly db: Database | undefined;
  /** Types of domain events that a rule stores on the bus itself; `tx` of a handler writes into its database instead. */
  readonly emits?: readonly string[];
  readonly handler: Handler<AnyEvent>;
  /** Where its handler sends events to, when `send()` made it. */
  readonly sends: SendsTo | undefined;
}

/** Who writes JavaScript, or casts, has no compiler to tell. */
const OPTIONS: Readonly<Record<keyof AutomationOptions<unknown>, true>> = {
  ...{
    on: true,
    where: true,
    filter: true,
    retry: true,
    retryable: true,
    timeout: true,
    concurrency: true,
    db: true,
    start: true,
    onGap: true,
  },
  ...{ cycles: true, order: true, onExhausted: true, shadow: true, includeBackfill: true },
};

const WRITTEN = 'write automation("ship", { on: orders.created() }, async ({ event }) => { ... })';
const idPattern = /^[a-z][a-z0-9-]{0,62}$/;

/**
 * Defines an automation. Its id is the durable's name, the metrics' label and the dead letters' subject:
 * changing it starts a new subscription.
 * @throws ConfigError `AUTOMATION_INVALID`, and `PATTERN_INVALID` for `where`
 */
export function automation<
  const On extends Trigger | readonly Trigger[],
  Db extends Database = Database,
  const Copies extends boolean = false,
>(
  id: string,
  options: AutomationOptions<On, Db, Copies>,
  handler: Handler<HandledBy<On, Copies>, ClientOf<Db>>,
): Automation {
  if (typeof id !== "string") throw invalid("an automation begins with its id, a text", WRITTEN);
  if (!idPattern.test(id)) {
    throw invalid(`"${id}" cannot be an automation's id`, "use a-z, 0-9 and -, beginning with a letter, at most 63");
  }
  if (typeof options !== "object" || options === null) throw invalid(`${id}: it has no options`, WRITTEN);
  refuseUnknown(options, OPTIONS, `${id}: `);
  // Else it would be a dead letter of each event.
  if (typeof handler !== "function") throw invalid(`${id}: its handler is no function`, WRITTEN);
  const bound = triggersOf(options.on, id).map((trigger) => trigger.boundTo?.(id) ?? trigger);
  const triggers = includingBackfill(bound, options.includeBackfill, id);
  const schedules = triggers.flatMap((trigger) => trigger.schedule ?? []);
  // Its newest due time stands in one place on the bus.
  if (schedules.length > 1) {
    throw invalid(
      `${id}: it has ${schedules.length} schedules`,
      "give each an automation of its own, with the same handler",
    );
  }
  const concurrency = options.concurrency ?? 10;
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > 256) {
    throw invalid(`${id}: concurrency must be a whole number from 1 to 256`, "run more workers to go beyond 256");
  }
  const timeoutMs = durationMs(options.timeout ?? "30s", `${id}: timeout`);
  if (timeoutMs > 86_400_000) throw invalid(`${id}: timeout is longer than 24h`, 'write "24h" or less');
  const { filter } = options;
  refuseNoFunction(filter, `${id}: filter`, "filter: ({ event }) => true, or a pattern as where");
  refuseNoFunction(options.retryable, `${id}: retryable`, "retryable: (error) => true");
  if (options.shadow !== undefined && typeof options.shadow !== "boolean")
    throw invalid(`${id}: shadow is neither true nor false`, "write shadow: true, or leave it out");
  const where = compileWhere(options.where, triggers, `${id}: where`);
  const defined: Automation = {
    [automationBrand]: true,
    madeBy,
    id,
    triggers: Object.freeze([...triggers]),
    schedule: schedules[0],
    where,
    // It gets what the handler does.
    filter: filter as Filter<AnyEvent> | undefined,
    needs: triggers.flatMap((trigger) => neededImages(trigger, where?.get(trigger))),
    names: triggers.flatMap((trigger) => namedColumns(trigger, where?.get(trigger))),
    retryable: options.retryable,
    retry: Object.freeze(retryPolicy(options.retry, `${id}: `)),
    timeoutMs,
    concurrency,
    ...orderOf(options, id),
    start: startOf(options.start, `${id}: start`),
    onGap: oneOf(["stop", "continue"], options.onGap, `${id}: onGap`),
    cycles: oneOf(["stop", "allow"], options.cycles, `${id}: cycles`),
    shadow: options.shadow ?? false,
    db: options.db,
    // It gets only what one of the triggers has decoded: the type that it asked for.
    handler: handler as Handler<AnyEvent>,
    sends: sendsTo(handler),
  };
  return Object.freeze(defined);
}

/** Compiled once a trigger, for each knows other things of its events. @throws ConfigError `PATTERN_INVALID` */
function compileWhere(where: unknown, triggers: readonly Trigger[], place: string): Automation["where"] {
  if (where === undefined) return undefined;
  const shapes = triggers.map(({ shape = {} }) => shape);
  return new Map(
    triggers.map((trigger, nth) => {
      const others = shapes.filter((_, other) => other !== nth);
      return [trigger, new LearningPattern(where, { ...shapes[nth], others }, place)];
    }),
  );
}
