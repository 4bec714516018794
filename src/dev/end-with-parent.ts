// Sees to it that no server outlives the process that started it, without taking its signals away from anybody.

const endings = new Set<() => void>();
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Calls `end` when this process exits, or is ended by a signal that nobody else handles.
 * @param end synchronous; must not throw
 * @returns takes it off again
 */
export function endWithParent(end: () => void): () => void {
  if (endings.size === 0) watch();
  endings.add(end);
  return () => {
    endings.delete(end);
    if (endings.size === 0) unwatch();
  };
}

function endAll(): void {
  for (const end of endings) end();
}

/** Whoever else listens decides what the signal means, and `exit` comes later; else it does what it would have done. */
function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  endAll();
  unwatch();
  process.kill(process.pid, signal);
}

function watch(): void {
  process.on("exit", endAll);
  for (const signal of signals) process.on(signal, onSignal);
}

function unwatch(): void {
  process.off("exit", endAll);
  for (const signal of signals) process.off(signal, onSignal);
}
