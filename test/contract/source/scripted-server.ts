// The scripted source, for the contract.

import { positionsAt } from "../../../src/event/positions.ts";
import type { Connector } from "../../../src/source/source.ts";
import { ScriptedDatabase, scriptedDatabases } from "../../support/source/scripted-database.ts";
import { scriptedConnector } from "../../support/source/scripted-source.ts";
import type { TestTime } from "../../support/virtual-time.ts";
import type { SourceServer } from "./source-server.ts";

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
      const { partitions: names } = database;
      return {
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
