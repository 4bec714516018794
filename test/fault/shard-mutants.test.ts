// Rules of reading shards broken on purpose, each in a copy of the source, on which a test of the reader must fail.

import { expect, test } from "vitest";
import { drawnOf } from "../support/drawn.ts";
import type { Mutation } from "../support/mutant.ts";
import { runOnMutant } from "../support/run-on-mutant.ts";

interface Mutant extends Mutation {
  /** Below test/unit/source/dynamodb. */
  readonly file: string;
  /** The test of it that is to fail, among others perhaps. */
  readonly fails: string;
}

const graph = "source/dynamodb/shards/shard-graph.ts";
const shardReader = "source/dynamodb/reader/shard-reader.ts";
const streamsReader = "source/dynamodb/reader/streams-reader.ts";

const mutants: readonly Mutant[] = [
  {
    name: "children read before their parents",
    edits: [{ file: graph, find: 'return before.state === "done";', replace: "return true;" }],
    file: "reader/streams.test.ts",
    fails: "shards that lived and died while nobody read are read in their order, and again from anywhere",
  },
  {
    name: "no further iterator taken for the end, and not for the last records",
    edits: [
      {
        file: "source/dynamodb/reader/poll-shard.ts",
        find: "if (page.records.length > 0 || page.ended) arrived(page);",
        replace: "if (page.records.length > 0 || page.ended) arrived(page.ended ? { ...page, records: [] } : page);",
      },
    ],
    file: "reader/streams.test.ts",
    fails: "shards that roll are read one behind the other, closing with records: true",
  },
  {
    name: "a shard's end told before its last records",
    edits: [
      {
        file: streamsReader,
        find: "    yield* reading.chunks(page.records);\n    if (page.ended) yield reading.ended(follower.graph.childrenOf(reading.id));\n",
        replace:
          "    if (page.ended) yield reading.ended(follower.graph.childrenOf(reading.id));\n    yield* reading.chunks(page.records);\n",
      },
    ],
    file: "reader/streams.test.ts",
    fails: "shards that end are told of behind the last of their records, closing with records: true",
  },
  {
    name: "an expired iterator followed by one at TRIM_HORIZON",
    edits: [
      {
        file: shardReader,
        find: 'return await api.iterator(arn, shard, { at: "behind", number });',
        replace: "return await api.iterator(arn, shard, HORIZON);",
      },
    ],
    file: "reader/shard-reader.test.ts",
    fails: "an iterator that is expired is followed by another one, behind what was read",
  },
  {
    name: "a closed shard that was read in part taken for done",
    edits: [
      {
        file: graph,
        find: "known.closed ||= closed;",
        replace: 'known.closed ||= closed;\n      if (closed && known.state === "ready") known.state = "done";',
      },
    ],
    file: "reader/discovery.test.ts",
    fails: "children that a listing names before their parent are read behind it",
  },
  {
    name: "a shard that was read in part put on record as done",
    edits: [
      {
        file: "source/dynamodb/shards/done-shards.ts",
        find: "if (parsePosition(position).step !== Step.ended) continue;",
        replace: "",
      },
    ],
    file: "shards/done-shards.test.ts",
    fails:
      "a shard leaves the checkpoint once its end and the beginning of one behind it are acknowledged, and not before",
  },
  {
    name: "a shard's end believed though it is open",
    edits: [{ file: shardReader, find: "mayEnd && (await this.#hasEnded())", replace: "mayEnd" }],
    file: "reader/reports.test.ts",
    fails:
      "an answer that is wrong for once loses nothing: an open shard without another iterator is no shard that has ended (nodejs-kinesis-client 25, Pipedream 16056)",
  },
];

for (const { file, fails, ...mutation } of drawnOf("shard-mutants", mutants, 3))
  test(`A reader with ${mutation.name} is found out`, async () => {
    // They wait by a clock of their own, and need no server: the project's configuration would start some.
    const { testResults } = await runOnMutant({
      ...{ mutation, file: `test/unit/source/dynamodb/${file}` },
      config: 'export default { test: { include: ["test/unit/**/*.test.ts"], testTimeout: 20_000, retry: 0 } };\n',
    });
    const results = testResults.flatMap(({ assertionResults }) => assertionResults);
    const failed = results.filter(({ status }) => status === "failed").map(({ fullName }) => fullName);

    console.error(`${mutation.name}: ${failed.length} of ${results.length} failed`);
    expect(failed).toContain(fails);
  });
