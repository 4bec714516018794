// The test kit: what an automation sends to endpoints is told, and leaves the test by no way.

import { expect, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";
import { send } from "../../../src/automation/define/send.ts";
import { given } from "../../../src/testing.ts";

const orders = collection<{ id: number; status: string }>("shop", "public.orders");
const created = (id: number, status = "new") => orders.row({ id, status }).created();

const toCrm = automation(
  "orders-to-crm",
  { on: orders.created() },
  send("crm", ({ event, attempt, skip }) => {
    if (event.after.status === "draft") return skip("a draft");
    if (event.after.status === "late" && attempt === 1) throw new Error("not yet");
    return { type: "order.created", data: event.after };
  }),
);

test("each message is told with its endpoint, its automation and its event, and none of what was skipped or failed before", async () => {
  const r = await given([created(1), created(2, "draft"), created(3, "late")]).when(toCrm);

  expect(r.outcomes.map(({ outcome, attempts, reason }) => [outcome, attempts, reason])).toEqual([
    ["done", 1, undefined],
    ["skipped", 1, "a draft"],
    ["done", 2, undefined],
  ]);
  const of = (nth: number, id: number, status: string) => ({
    ...{ endpoint: "crm", automation: "orders-to-crm", event: r.outcomes[nth]?.event },
    message: { type: "order.created", data: { id, status } },
  });
  expect(r.sent).toEqual([of(0, 1, "new"), of(2, 3, "late")]);
});

test("without a function the message is the event's own", async () => {
  const r = await given([created(1)]).when(automation("plain", { on: orders.created() }, send("crm")));

  expect(r.sent).toMatchObject([
    { message: { type: "shop.public.orders.created", data: { op: "created", key: { id: 1 }, after: { id: 1 } } } },
  ]);
});

test("in shadow nothing is sent, and the outcome says what would have been", async () => {
  const r = await given([created(1)]).when(automation("quiet", { on: orders.created(), shadow: true }, toCrm.handler));

  expect(r.sent).toEqual([]);
  expect(r.outcomes).toMatchObject([
    {
      outcome: "shadow",
      wouldBe: { would: "done", effects: [{ kind: "send", to: "crm", type: "order.created", count: 1 }] },
    },
  ]);
});

test("across a crash before the ack an event is sent once more, as a worker does", async () => {
  const r = await given([created(1)], { crash: true }).when(toCrm);

  expect(r.outcomes).toMatchObject([{ outcome: "done" }]);
  expect(r.sent).toHaveLength(2);
  expect(r.sent[1]).toEqual(r.sent[0]);
});
