// The public door: what users import to write a configuration and automations.

import type { Worker, WorkerOptions } from "./app.ts";
import type { Config } from "./config/schema.ts";

export {
  type Automation,
  type AutomationOptions,
  automation,
  type Filter,
  type Handler,
  type HandlerContext,
} from "./automation/define/automation.ts";
export type {
  AnyKey,
  ComparedEvent,
  CreatedEvent,
  DeletedEvent,
  ReadEvent,
  TruncatedEvent,
  UpdatedEvent,
} from "./automation/define/change-events.ts";
export {
  type Collection,
  type CollectionOptions,
  type CrossingOptions,
  collection,
  type TransitionOptions,
} from "./automation/define/collection.ts";
export type { ChangeTrigger } from "./automation/define/collection-trigger.ts";
export type { StandardSchema } from "./automation/define/data-schema.ts";
export { type DomainTrigger, event } from "./automation/define/event-trigger.ts";
export { fromDrizzle } from "./automation/define/from-drizzle.ts";
export { type ManualEvent, manual } from "./automation/define/manual.ts";
export { type ScheduleOptions, schedule } from "./automation/define/schedule.ts";
export { type OutgoingMessage, send } from "./automation/define/send.ts";
export { system } from "./automation/define/system.ts";
export type { AnyEvent, Trigger } from "./automation/define/trigger.ts";
export { type WebhookTrigger, webhook } from "./automation/define/webhook.ts";
export { Fatal, Retry, type RetryOptions, type Skip } from "./automation/outcome/outcome.ts";
export type { RowShape } from "./automation/pattern/columns.ts";
export { compilePattern } from "./automation/pattern/compile-pattern.ts";
export { type ClauseOutcome, explainPattern, type PatternExplanation } from "./automation/pattern/explain-pattern.ts";
export type { PatternOf } from "./automation/pattern/pattern-of.ts";
export type { PgClient } from "./automation/tx/transaction.ts";
export type { TxContext } from "./automation/tx/tx.ts";
export { env } from "./config/env.ts";
export { type Config, defineConfig } from "./config/schema.ts";
export type { ChangeBody, ChangeEvent } from "./event/change-event.ts";
export type { ColumnKind, Columns } from "./event/column-kind.ts";
export type { Lineage } from "./event/lineage.ts";
export type { DomainEvent } from "./event/parse-domain-event.ts";
export type { ScheduleEvent } from "./event/schedule-event.ts";
export type {
  DeadData,
  EndpointData,
  GapData,
  LagData,
  SystemData,
  SystemEvent,
  SystemKind,
} from "./event/system-event.ts";
export type { WebhookEvent } from "./event/webhook-event.ts";
export type { Worker, WorkerOptions };

/**
 * Runs sources and automations, inside an application as well as for `millrace run`. What a worker is made of is loaded with the
 * first call: modules of automations import this door too, in commands and tests that start none.
 * @throws ConfigError when the configuration or the bus cannot serve; a bus that is only away is waited for
 */
export async function startWorker(input: Config | unknown, options: WorkerOptions = {}): Promise<Worker> {
  const app = await import("./app.ts");
  return app.startWorker(input, options);
}
