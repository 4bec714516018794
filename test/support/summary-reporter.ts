// Prints `N passed, N failed, N skipped` as the very last line of a test run.

import { writeSync } from "node:fs";
import type { Reporter, SerializedError, TestModule } from "vitest/node";

class SummaryReporter implements Reporter {
  #passed = 0;
  // A run that never gets to its end has failed.
  #failed = 1;
  #skipped = 0;

  onInit(): void {
    process.once("exit", () => {
      writeSync(1, `${this.#passed} passed, ${this.#failed} failed, ${this.#skipped} skipped\n`);
    });
  }

  /** A file that fails outside of its tests, and an error that belongs to no test, count as a failure each. */
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    this.#passed = 0;
    this.#failed = unhandledErrors.length;
    this.#skipped = 0;
    for (const module of modules) {
      let failedTests = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") this.#passed++;
        else if (state === "failed") failedTests++;
        else this.#skipped++;
      }
      this.#failed += failedTests === 0 && module.state() === "failed" ? 1 : failedTests;
    }
  }
}

// Vitest takes a reporter from a file's default export.
export default SummaryReporter;
