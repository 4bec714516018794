// The logger's shape, and the closed list of event names. Row values and secrets are never logged.

/** Every line has one of these as its `event`. */
export type LogEvent =
  | "worker_started"
  | "worker_stopped"
  | "http_listening"
  | "http_failed"
  | "ingress_listening"
  | "ingress_failed"
  | "ingress_cannot_store"
  | "ingress_stores_again"
  | "event_schema_failed"
  | "source_waiting_for_lease"
  | "source_reading_back"
  | "checkpoint_missing"
  | "source_started"
  | "source_progress"
  | "source_stopped"
  | "source_retrying"
  | "source_notice"
  | "source_slot_created"
  | "source_publication_changed"
  | "source_table_left_out"
  | "source_table_joined"
  | "source_images_missing"
  | "source_requests"
  | "source_gap"
  | "source_commit_unseen"
  | "backfill_started"
  | "backfill_progress"
  | "backfill_paused"
  | "backfill_resumed"
  | "backfill_waiting"
  | "backfill_again"
  | "backfill_snapshot"
  | "backfill_completed"
  | "backfill_cancelled"
  | "guard_exceeded"
  | "guard_recovered"
  | "guard_full"
  | "guard_blind"
  | "guard_drop_failed"
  | "guard_mute"
  | "source_poison"
  | "bus_connected"
  | "bus_disconnected"
  | "bus_recovered"
  | "bus_messages_lost"
  | "bus_foreign_write"
  | "bus_messages_removed"
  | "lease_acquired"
  | "lease_lost"
  | "automation_started"
  | "automation_stopped"
  | "automation_retrying"
  | "automation_column_unknown"
  | "automation_failed"
  | "automation_durable_mended"
  | "automation_gap"
  | "automation_held_up"
  | "automation_paused"
  | "automation_refused"
  | "automation_resumed"
  | "automation_sought"
  | "schedule_ahead"
  | "schedule_away"
  | "schedule_fired"
  | "automation_dead_letter"
  | "automation_dead_untold"
  | "automation_shadow"
  | "automation_shadow_failed"
  | "automation_skipped"
  | "automation_log"
  | "automation_retryable_failed"
  | "automation_uncaught"
  | "module_uncaught"
  | "endpoint_paused"
  | "endpoint_resumed"
  | "endpoint_disabled"
  | "endpoints_unknown"
  | "tx_database_uncaught"
  | "event_received"
  | "event_settled"
  | "inbox_pruned"
  | "inbox_prune_failed"
  | "replay_begun"
  | "replay_interrupted"
  | "replay_progress"
  | "verify_progress"
  | "verify_waiting"
  | "dev_server_started"
  | "dev_reloading"
  | "dev_worker_ended";

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

export type Logger = Readonly<
  Record<LogLevel, (event: LogEvent, fields?: Readonly<Record<string, unknown>>, text?: string) => void>
>;

/** The same without the lines below a level. */
export function atLevel(log: Logger, level: LogLevel): Logger {
  const lowest = logLevels.indexOf(level);
  return Object.fromEntries(
    logLevels.map((name, nth) => [name, nth < lowest ? nothing : log[name].bind(log)]),
  ) as unknown as Logger;
}

const nothing = (): void => {};

/** Says nothing: the default inside an application. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
