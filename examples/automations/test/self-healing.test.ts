import { given } from "millrace/testing";
import { expect, test } from "vitest";
import { peers, selfHealingOf } from "../self-healing.ts";

const lost = (id: string) => peers.row({ id, device: `edge-${id}`, state: "established" }).updatedTo({ state: "idle" });

/** Sessions come back after so many resets. */
function routers(needs: Readonly<Record<string, number>>) {
  const resets: Record<string, number> = {};
  return {
    resets,
    established: async (peer: string) => (resets[peer] ?? 0) >= (needs[peer] ?? 0),
    reset: async (peer: string) => {
      resets[peer] = (resets[peer] ?? 0) + 1;
    },
  };
}

test("a lost session is started anew and looked at half a minute later: healed, nobody hears of it", async () => {
  const network = routers({ a: 1 });
  const r = await given([lost("a")]).when(selfHealingOf(network));

  expect(r.outcomes).toMatchObject([{ outcome: "done", attempts: 2, waits: [30_000] }]);
  expect([r.passedMs, network.resets, r.emitted]).toEqual([30_000, { a: 1 }, []]);
  expect(r.logs).toMatchObject([{ text: "the session is back", fields: { resets: 1 } }]);
});

test("one that stays down gets two resets and then a ticket", async () => {
  const network = routers({ a: 9 });
  const r = await given([lost("a")]).when(selfHealingOf(network));

  expect(r.outcomes).toMatchObject([{ outcome: "done", attempts: 3, waits: [30_000, 30_000] }]);
  expect(network.resets).toEqual({ a: 2 });
  expect(r.statements).toMatchObject([{ values: ["edge-a", "a stays down after 2 resets"] }]);
});

test("sessions that are lost together are healed each by itself", async () => {
  const network = routers({ a: 1, b: 9, c: 2, d: 0 });
  const r = await given([lost("a"), lost("b"), lost("c"), lost("d")]).when(selfHealingOf(network));

  expect(r.outcomes.map(({ attempts }) => attempts)).toEqual([2, 3, 3, 1]);
  expect(network.resets).toEqual({ a: 1, b: 2, c: 2 });
  expect(r.emitted).toMatchObject([{ type: "ticket.opened", data: { peer: "b" } }]);
});
