// SIGINT and SIGTERM: the first one asks to stop in good order, a second one stops at once.

/** One Ctrl-C may come as two signals: from the terminal, and from a runner (npm) that passes it on. */
const SAME_MS = 1000;

/** Aborts with the first signal. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  let firstMs = 0;
  const onSignal = (): void => {
    if (!controller.signal.aborted) {
      firstMs = performance.now();
      controller.abort();
    } else if (performance.now() - firstMs > SAME_MS) process.exit(1);
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return controller.signal;
}
