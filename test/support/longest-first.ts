// The order of test files: those that take long begin first, so that no worker is left alone with one at the end.

import { BaseSequencer, type TestSequencerConstructor, type TestSpecification } from "vitest/node";

/** @param long parts of the paths of files, the longest first; all others follow as vitest has them */
export function longestFirst(long: readonly string[]): TestSequencerConstructor {
  const rank = ({ moduleId }: TestSpecification): number => {
    const found = long.findIndex((part) => moduleId.includes(part));
    return found < 0 ? long.length : found;
  };
  return class extends BaseSequencer {
    override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
      const sorted = await super.sort(files);
      const projects = [...new Set(sorted.map((file) => file.project.name))]; // its files stay together
      const place = (file: TestSpecification): number =>
        projects.indexOf(file.project.name) * (long.length + 1) + rank(file);
      return sorted.sort((one, other) => place(one) - place(other));
    }
  };
}
