// What a bench is told, and what it tells.

export interface BenchOptions {
  readonly rows: number;
  /** nats-server's `sync_interval`: its own default, or every write. */
  readonly sync: "default" | "always";
  /** Tells a person how far it is. */
  readonly say: (line: string) => void;
}

export interface BenchResult {
  readonly name: string;
  /** The median of our runs. */
  readonly value: number;
  readonly unit: string;
  /** The median of the runs of what we compare with, in the same unit; null when it is not installed. */
  readonly reference: number | null;
  readonly ratio: number | null;
  /** The most memory that any of our runs ever held; null where the system does not tell. */
  readonly rssMb: number | null;
  readonly sync: BenchOptions["sync"];
  /** Versions by name. */
  readonly servers: Readonly<Record<string, string>>;
  readonly rows: number;
  /** What else this bench tells, by name. */
  readonly details?: Readonly<Record<string, number>>;
  readonly runs: { readonly ours: readonly number[]; readonly reference: readonly number[] };
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  if (middle === undefined) throw new Error("no runs");
  return middle;
}
