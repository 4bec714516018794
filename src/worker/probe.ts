// Named places where a crash must do no harm. In production a probe does nothing; the tests kill the process there.

export type CrashPoint =
  | "mid-transaction"
  | "mid-backfill-chunk"
  | "body-stored"
  | "after-publish"
  | "before-save"
  | "after-save"
  | "before-acknowledge";

export type Probe = (point: CrashPoint) => void;

export const noProbe: Probe = () => {};
