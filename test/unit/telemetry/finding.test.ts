import { expect, test } from "vitest";
import { sqlOf } from "../../../src/telemetry/finding.ts";

test("what of a fix is SQL leaves out words, what is for another server, and what a person decides", () => {
  const runs = [
    "ALTER TABLE public.a REPLICA IDENTITY FULL; -- or better: ALTER TABLE public.a ADD PRIMARY KEY (...)",
    "GRANT SELECT ON public.a TO worker;",
  ];
  const stays = [
    "On that standby: SELECT pg_catalog.pg_reload_conf();",
    "SELECT pg_catalog.pg_drop_replication_slot('gone'); -- if nobody needs it",
    "ROLLBACK PREPARED 'x'; -- if it is not to come; else COMMIT PREPARED",
    "Give the worker a role of its own.",
  ];
  expect(sqlOf([...runs, ...stays].join("\n"))).toEqual(runs);
  expect(sqlOf(undefined)).toEqual([]);
});
