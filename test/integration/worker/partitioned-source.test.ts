// A source of another kind, with two partitions and changes that its database does not always group, in a whole worker: what
// its automations get, what the status shows, and what `verify` says of its stream.

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startWorker } from "../../../src/app.ts";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { verifyStream } from "../../../src/bus/jetstream/verify/verify-stream.ts";
import { realClock } from "../../../src/clock.ts";
import { connectors } from "../../../src/connectors.ts";
import type { ChangeEvent } from "../../../src/event/change-event.ts";
import type { SourceId } from "../../../src/event/source-id.ts";
import type { Connector } from "../../../src/source/connector.ts";
import { silentLogger } from "../../../src/telemetry/logger.ts";
import { readStream } from "../../support/bus/stream-events.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { ScriptedDatabase, scriptedDatabases } from "../../support/source/scripted-database.ts";
import { scriptedConnector } from "../../support/source/scripted-source.ts";
import { waitFor } from "../../support/wait-for.ts";

const known = connectors as Map<string, Connector<unknown>>;
beforeAll(() => void known.set("scripted", scriptedConnector as Connector<unknown>));
afterAll(() => void known.delete("scripted"));

describe.skipIf(missing("nats"))("a source with partitions", () => {
  test("is read by a worker, whose automations get its changes with their transaction, or with none", async () => {
    await using nats = await freshNats({ syncInterval: "always" });
    const database = new ScriptedDatabase("partitioned", realClock, ["north", "south"]);
    scriptedDatabases.set(database.name, database);
    onTestFinished(() => void scriptedDatabases.delete(database.name));
    const taken: ChangeEvent[] = [];
    const on = ["north", "south"].map((name) => collection("shop", `${name}.orders`).created());
    const handle = ({ event }: { readonly event: unknown }): void => void taken.push(event as ChangeEvent);
    const worker = await startWorker(
      {
        bus: { servers: nats.url, fsync: "always" },
        sources: { shop: { kind: "scripted", database: database.name } },
        automations: [automation("all", { on, start: "earliest" }, handle)],
      },
      { timing: { lagEveryMs: 500 } },
    );
    onTestFinished(() => worker.stop());
    for (let nth = 1; nth <= 20; nth++) {
      database.commit("north", [{ key: `n${nth}` }]);
      database.commit("south", [{ key: `s${nth}a` }, { key: `s${nth}b` }]);
    }
    await waitFor(() => taken.length === 60, { what: "all events to be handled" });
    const status = await waitFor(
      () => {
        const [source] = worker.status().sources;
        return source?.lagSeconds === 0 && source.unconfirmedBytes === 0 && source;
      },
      { what: "all to be acknowledged" },
    );
    await worker.stop();

    const marks = taken.map(({ key, transaction }) => [key?.id, transaction?.last]);
    expect(marks.filter(([key]) => String(key).startsWith("n"))).toEqual(
      Array.from({ length: 20 }, (_, nth) => [`n${nth + 1}`, undefined]),
    );
    expect(marks.filter(([key]) => String(key).startsWith("s"))).toEqual(
      Array.from({ length: 20 }, (_, nth) => ["a", "b"].map((row) => [`s${nth + 1}${row}`, row === "b"])).flat(),
    );
    expect(status.position).toEqual({ north: expect.any(String), south: expect.any(String) });
    const { signal } = new AbortController();
    const report = await verifyStream({
      ...{ servers: [nats.url], source: "shop" as SourceId, onProgress: () => {}, log: silentLogger, signal },
    });
    expect(report).toMatchObject({ ok: true, findings: [], events: 60, transactions: 20 });
    const parts = new Set((await readStream(nats.url, "CDC_SHOP")).map(({ header }) => header("Cdc-Part")));
    expect(parts).toEqual(new Set([undefined, "north", "south"]));
  });
});
