// The public door: what users import to write a configuration and automations.

export { startWorker, type Worker, type WorkerOptions } from "./app.ts";
export {
  type Automation,
  type AutomationOptions,
  automation,
  type Handler,
  type HandlerContext,
} from "./automation/automation.ts";
export {
  type Collection,
  type CreatedEvent,
  collection,
  type DeletedEvent,
  type Trigger,
  type UpdatedEvent,
} from "./automation/collection.ts";
export { event } from "./automation/event-trigger.ts";
export { fromDrizzle } from "./automation/from-drizzle.ts";
export { Fatal, Retry, type RetryOptions, type Skip } from "./automation/outcome.ts";
export { compilePattern } from "./automation/pattern/compile-pattern.ts";
export { system } from "./automation/system.ts";
export type { PgClient } from "./automation/transaction.ts";
export type { TxContext } from "./automation/tx.ts";
export { defineConfig } from "./config/define.ts";
export { env } from "./config/env.ts";
export type { Config } from "./config/schema.ts";
export type { ChangeBody, ChangeEvent } from "./event/change-event.ts";
export type { Lineage } from "./event/lineage.ts";
export type { DomainEvent } from "./event/parse-domain-event.ts";
export type { GapData, LagData, SystemData, SystemEvent, SystemKind } from "./event/system-event.ts";
