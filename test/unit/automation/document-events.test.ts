// What a handler knows of the changes of documents, by types that `millrace types` writes for a MongoDB. The compiler checks it.

import { expectTypeOf, test } from "vitest";
import { automation } from "../../../src/automation/define/automation.ts";
import { collection } from "../../../src/automation/define/collection.ts";

test("an automation knows that an update may come without a document", () => {
  interface Orders {
    readonly _id: string;
    readonly total?: string;
  }
  const orders = collection<Orders, Pick<Orders, "_id">, never, Orders | null>("shop", "shop.orders");
  automation("updated", { on: orders.updated() }, ({ event }) => {
    expectTypeOf(event.after).toEqualTypeOf<Orders | null>();
    expectTypeOf(event.before).toEqualTypeOf<Partial<Orders> | null>();
    expectTypeOf(event.key).toEqualTypeOf<Pick<Orders, "_id">>();
    expectTypeOf(event.update?.removedFields).toEqualTypeOf<readonly string[] | undefined>();
  });
  automation("created", { on: orders.created() }, ({ event }) => {
    expectTypeOf(event.after).toEqualTypeOf<Orders>();
  });
});
