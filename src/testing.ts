// The door `millrace/testing`: tests of automations without a server, in virtual time.

export type { GivenChange, GivenRow, RowOptions, UpdateOptions } from "./automation/define/given-row.ts";
export type { DeadEvent, DeadLetter } from "./automation/deliver/dead-letter.ts";
export { type Given, type GivenOptions, given } from "./testing/given.ts";
export {
  due,
  type EmittedOptions,
  emitted,
  emptied,
  type GivenDomain,
  type GivenEvent,
  type GivenSystem,
  type ReceivedParts,
  received,
  told,
  triggered,
} from "./testing/given-event.ts";
export type {
  EmittedEvent,
  LoggedLine,
  Outcome,
  Result,
  SentMessage,
  Statement,
  ThrownError,
} from "./testing/result.ts";
export { VirtualClock } from "./testing/virtual-clock.ts";
