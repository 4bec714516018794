// The scripted source, for the contract.

import { positionsAt } from "../../../src/event/positions.ts";
import type { Connector } from "../../../src/source/connector.ts";
import { ScriptedDatabase, scriptedDatabases } from "../../support/source/scripted-database.ts";
import { scriptedConnector } from "../../support/source/scripted-source.ts";
import type { TestTime } from "../../support/virtual-time.ts";
import type { SourceServer } from "./source-server.ts";

/** Partitions that have ended, of those that are still listed. */
const LISTED = 50;

let made = 0;

/** @param partitions names; none: one log */
export function scriptedServer(time: TestTime, partitions: readonly string[]): SourceServer {
  const { clock } = time;
  const away = new ScriptedDatabase("away", clock);
  away.away = true;
  scriptedDatabases.set("away", away);
  return {
    connector: scriptedConnector as Connector<unknown>,
    time,
    lines: Math.max(1, partitions.length),
    nowhere: () => ({ database: "away" }),
    wrong: [[{ database: "unheard of" }, ".database"]],
    bounds: { chunkBytes: 64 * 1024, aheadBytes: 1_000_000 },
    fresh: async () => {
      const name = `script_${++made}`;
      const database = new ScriptedDatabase(name, clock, partitions);
      scriptedDatabases.set(name, database);
      const names = [...database.partitions];
      let rolls = 0;
      const ended: string[] = [];
      const roll = async (line: number): Promise<void> => {
        const [parent = "", name] = [names[line], `${partitions[line]}-${++rolls}`];
        database.open(name, parent);
        database.close(parent);
        names[line] = name;
        ended.push(parent);
        const acknowledged = database.endedAt(database.dropped ?? new Map()).map(({ partition }) => partition);
        if (ended.length <= LISTED || !acknowledged.includes(ended[0] ?? "")) return;
        database.forget(ended.shift() ?? "");
      };
      return {
        ...(partitions.length > 0 && { roll }),
        section: (options) => ({ database: name, ...options }),
        commit: async (line, rows) => database.commit(names[line], rows),
        cut: async () => database.cut(),
        loseLog: async () => {
          const [partition = "", position] = [...database.end][0] ?? [];
          if (position !== undefined) database.drop(positionsAt({ partition, position }));
        },
        sentBytes: async () => database.sentBytes,
        contents: async () => [database.log.length, database.dropped],
        alter: async () => {
          database.version++;
        },
        poison: async (before, behind) =>
          database.commit(names[0], [{ key: before }, { key: "0-poison", poison: true }, { key: behind }]),
        leaveOut: async () => {
          database.notices = [{ code: "SCRIPT_LEFT_OUT", message: "a part is left out", hint: "see the test" }];
        },
        [Symbol.asyncDispose]: async () => {
          scriptedDatabases.delete(name);
        },
      };
    },
  };
}
