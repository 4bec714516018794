// What sources report: plain numbers for the status, which the registry reads when it is scraped.

import type { Registry } from "prom-client";
import { sampled } from "./sampled.ts";

/** Counts of one source, since the process started. */
export interface SourceCounts {
  /** Messages that came out of the database's log. */
  read: number;
  /** Events that the bus has acknowledged. */
  published: number;
  /** Markers about the source (`meta.…`) that the bus has acknowledged, but for those of a writer's start. */
  markers: number;
  /** Rows that were stored by copies of existing rows; they are no events of the log. */
  copied: number;
  /** Whole transactions among them. */
  transactions: number;
  /** Checkpoints stored on the bus. */
  saved: number;
  /** Positions told to the database. */
  acknowledged: number;
  /** Rows that could not be decoded or were too large, and were dead-lettered. */
  poison: number;
  /** How often the writer had to look up again what the stream holds. */
  recovered: number;
  /** How often the source was opened again after an error. */
  retried: number;
  /** How often it stopped for an error that no outage explains: of Millrace, or of a library. */
  bugs: number;
  /** Gaps that it went on behind. */
  gaps: number;
  /** The same of some of its tables alone. */
  tableGaps: number;
  /** How often the database has agreed to send its log. */
  opened: number;
  /** Documents that were asked for and were gone by then. */
  lookupsEmpty: number;
  /** Images before or after a change that were asked for and that the database did not have. */
  imagesMissing: number;
  /** Requests that were sent for records: what a database is paid for by. */
  requests: number;
  /** Requests that the database put off, because there were too many. */
  throttled: number;
  /** Names of places in the log that the database no longer took. */
  iteratorsExpired: number;
}

const described: Readonly<Record<keyof SourceCounts, readonly [name: string, help: string]>> = {
  read: ["source_messages_read_total", "Messages read from the source's log."],
  published: ["source_events_published_total", "Events stored on the bus."],
  markers: ["source_markers_published_total", "Markers about the source (meta.…) stored on the bus."],
  copied: ["backfill_rows_total", "Rows stored by copies of existing rows (`millrace backfill`)."],
  transactions: ["source_transactions_published_total", "Whole transactions stored on the bus."],
  saved: ["checkpoints_saved_total", "Checkpoints stored on the bus."],
  acknowledged: ["source_acknowledged_total", "Positions acknowledged to the source."],
  poison: ["source_poison_total", "Rows dead-lettered because they cannot be decoded or are too large."],
  recovered: ["bus_recoveries_total", "Times the writer had to find out again what the stream holds."],
  retried: ["source_retries_total", "Times the source was opened again after an error."],
  bugs: ["source_bugs_total", "Times the source stopped because code is broken: Millrace's, or a library's."],
  gaps: ["source_gaps_total", "Gaps that the source went on behind: events that can never come."],
  tableGaps: [
    "source_table_gaps_total",
    "Gaps of some of its tables alone: rows that came or went without an event, such as those of a partition that was dropped.",
  ],
  opened: [
    "source_log_opened_total",
    "Times the source's log was opened: at a start, and to go on behind an error or where a change stream had ended.",
  ],
  lookupsEmpty: [
    "source_lookups_empty_total",
    "Updates whose document was asked for (`images.after: lookup`) and was gone by then.",
  ],
  imagesMissing: [
    "source_images_missing_total",
    "Images that were asked for (`images: stored`) and that the database did not have.",
  ],
  requests: [
    "source_requests_total",
    "Requests sent for records, as a database counts them that is paid for by requests (DynamoDB: GetRecords).",
  ],
  throttled: ["source_throttled_total", "Requests that the database put off because there were too many (DynamoDB)."],
  iteratorsExpired: [
    "source_iterators_expired_total",
    "Iterators that the database no longer took; the source goes on by the sequence number (DynamoDB).",
  ],
};

/**
 * Adds the metrics of sources to a registry.
 * @returns the counts of a source, to be read and raised
 */
export function sourceCounters(registry: Registry): (source: string) => SourceCounts {
  const sources = new Map<string, SourceCounts>();
  for (const [count, [name, help]] of Object.entries(described)) {
    sampled(registry, { name: `millrace_${name}`, help, labelNames: ["source"] }, () =>
      [...sources].map(([source, counts]) => [{ source }, counts[count as keyof SourceCounts]]),
    );
  }
  return (source) => {
    const none = (): unknown => Object.fromEntries(Object.keys(described).map((count) => [count, 0]));
    const counts = sources.get(source) ?? (none() as SourceCounts);
    sources.set(source, counts);
    return counts;
  };
}
