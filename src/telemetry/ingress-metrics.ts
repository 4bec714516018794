// What receivers report: plain numbers for the status, which the registry reads when it is scraped.

import type { Registry } from "prom-client";
import { sampled } from "./sampled.ts";

/** How a request ended that was taken. */
export type IngressOutcome = "accepted" | "duplicate" | "handshake";

/** Of one receiver, since the process started. */
export interface IngressCounts {
  accepted: number;
  duplicate: number;
  handshake: number;
  /** By reason. */
  refused: Record<string, number>;
}

/** What is received over HTTP, by receiver; typed POSTs are those of `_post`, and what leads nowhere is of none. */
export interface IngressMetrics {
  answered(receiver: string, outcome: IngressOutcome): void;
  refused(receiver: string, reason: string): void;
}

export interface IngressCounters extends IngressMetrics {
  counts(receiver: string): Readonly<IngressCounts>;
}

/** @param registry gets the same counts as metrics */
export function ingressCounters(registry: Registry): IngressCounters {
  const receivers = new Map<string, IngressCounts>();
  const counts = (receiver: string): IngressCounts => {
    const known = receivers.get(receiver) ?? { accepted: 0, duplicate: 0, handshake: 0, refused: {} };
    receivers.set(receiver, known);
    return known;
  };
  sampled(
    registry,
    {
      name: "millrace_ingress_requests_total",
      help: "Requests of webhooks and typed POSTs that were taken: stored, known before, or a handshake.",
      labelNames: ["receiver", "outcome"],
    },
    () =>
      [...receivers].flatMap(([receiver, of]) =>
        (["accepted", "duplicate", "handshake"] as const)
          .filter((outcome) => of[outcome] > 0)
          .map((outcome) => [{ receiver, outcome }, of[outcome]]),
      ),
  );
  sampled(
    registry,
    {
      name: "millrace_ingress_refused_total",
      help: "Requests of webhooks and typed POSTs that were refused, by reason; without a receiver where the path leads to none, or what came is no HTTP.",
      labelNames: ["receiver", "reason"],
    },
    () =>
      [...receivers].flatMap(([receiver, { refused }]) =>
        Object.entries(refused).map(([reason, count]) => [{ receiver, reason }, count] as const),
      ),
  );
  return {
    counts,
    answered: (receiver, outcome) => {
      counts(receiver)[outcome]++;
    },
    refused: (receiver, reason) => {
      const { refused } = counts(receiver);
      refused[reason] = (refused[reason] ?? 0) + 1;
    },
  };
}
