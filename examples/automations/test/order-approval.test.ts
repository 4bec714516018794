import { emitted, given } from "millrace/testing";
import { expect, test } from "vitest";
import { approvals, orderDecision, orderIntake, orderPlaced, orderShipping } from "../order-approval.ts";

const order = (total: number) => ({ id: "o-1", customer: "Ada", total });
const placed = (total: number) => emitted(orderPlaced, { key: "o-1", data: order(total) });

test("a small order is approved at once and shipped", async () => {
  const intake = await given([placed(500)]).when(orderIntake);
  const shipping = await given(intake.emitted).when(orderShipping);

  expect(intake.emitted).toMatchObject([{ type: "order.approved" }]);
  expect(shipping.emitted).toMatchObject([{ type: "order.shipped", key: "o-1", data: { customer: "Ada" } }]);
});

test("a large one waits for a decision, which ships or refuses it", async () => {
  const intake = await given([placed(500_000)]).when(orderIntake);
  const asked = approvals.row({ id: "o-1", order_data: order(500_000), decision: "open" });
  const yes = await given([asked.updatedTo({ decision: "yes" })]).when(orderDecision);
  const no = await given([asked.updatedTo({ decision: "no" })]).when(orderDecision);
  const shipping = await given(yes.emitted).when(orderShipping);

  expect(intake.emitted).toMatchObject([{ type: "approval.asked" }]);
  expect(intake.statements).toMatchObject([{ values: ["o-1", JSON.stringify(order(500_000))] }]);
  expect(no.emitted).toMatchObject([{ type: "order.refused", key: "o-1" }]);
  expect(shipping.emitted).toMatchObject([{ type: "order.shipped" }]);
});

test("a decision counts once: what is decided and decided again is left alone", async () => {
  const decided = approvals.row({ id: "o-1", order_data: order(1), decision: "yes" });
  const r = await given([decided.updatedTo({ decision: "no" })]).when(orderDecision);

  expect(r.outcomes).toMatchObject([{ outcome: "filtered" }]);
});

test("each step is tried again by itself, and the steps before it are not repeated", async () => {
  const intake = await given([placed(500)]).when(orderIntake);
  let calls = 0;
  const client = {
    query: async () => {
      if (++calls < 3) throw new Error("the warehouse is closed");
      return { rows: [], rowCount: 1 };
    },
  };
  const shipping = await given(intake.emitted, { client }).when(orderIntake, orderShipping);

  expect(shipping.outcomes.map(({ automation, outcome, attempts }) => [automation, outcome, attempts])).toEqual([
    ["order-intake", "undelivered", 0],
    ["order-shipping", "done", 3],
  ]);
  expect(shipping.emitted).toHaveLength(1);
});
