import type { LookupAddress, LookupOptions } from "node:dns";
import fc from "fast-check";
import { expect, test } from "vitest";
import { refusedRange } from "../../../../src/egress/dial/address.ts";
import { type Guard, guardOf } from "../../../../src/egress/dial/guard.ts";

const PUBLIC = { address: "93.184.216.34", family: 4 };
const PRIVATE = { address: "10.0.0.1", family: 4 };

/** A guard whose resolver gives these answers, one a question, and the last one from then on. */
function guarded(
  answers: readonly (readonly LookupAddress[])[],
  allowPrivate = false,
): { guard: Guard; asked: () => number } {
  let asked = 0;
  const resolve = async (): Promise<readonly LookupAddress[]> => answers[Math.min(asked++, answers.length - 1)] ?? [];
  return { guard: guardOf("crm", { allowPrivate, resolve }), asked: () => asked };
}

function look(guard: Guard, options: LookupOptions = { all: true }): Promise<unknown> {
  return new Promise((resolve) => {
    guard.lookup("crm.example.com", options, (error, found) => resolve(error ?? found));
  });
}

test("a name that leads inside is refused, and the error says which endpoint and which option", async () => {
  const { guard } = guarded([[PRIVATE]]);
  expect(await look(guard)).toMatchObject({
    code: "ENDPOINT_ADDRESS_REFUSED",
    message: "the endpoint crm leads to a private address",
    hint: "where that is meant: endpoints.crm.allowPrivate: true",
  });
});

test("of a name with both only what the internet reaches is handed out", async () => {
  const { guard } = guarded([[PRIVATE, PUBLIC, { address: "::1", family: 6 }]]);
  expect(await look(guard)).toEqual([PUBLIC]);
});

// As DNS64 answers for a receiver that has IPv4 alone (KeeperHub/keeperhub#1269, rommapp/romm#3675).
test("of a name with an address of NAT64 beside its own the own one is handed out; of one inside neither", async () => {
  const { guard } = guarded([
    [{ address: "64:ff9b::5db8:d822", family: 6 }, PUBLIC],
    [{ address: "64:ff9b::a00:1", family: 6 }, PRIVATE],
  ]);
  expect(await look(guard)).toEqual([PUBLIC]);
  expect(await look(guard)).toMatchObject({
    code: "ENDPOINT_ADDRESS_REFUSED",
    message: expect.stringContaining("NAT64"),
  });
});

test("a name that leads elsewhere at the next look is judged anew: each connection goes to what was judged for it", async () => {
  const { guard, asked } = guarded([[PUBLIC], [PRIVATE], [PUBLIC]]);
  expect(await look(guard)).toEqual([PUBLIC]);
  expect(await look(guard)).toMatchObject({ code: "ENDPOINT_ADDRESS_REFUSED" });
  expect(await look(guard)).toEqual([PUBLIC]);
  expect(asked()).toBe(3);
});

test("one address is handed out where one is asked for, and it is an allowed one", async () => {
  const { guard } = guarded([[PRIVATE, PUBLIC]]);
  expect(await look(guard, {})).toBe(PUBLIC.address);
});

test("a name without an address is an endpoint that cannot be reached", async () => {
  expect(await look(guarded([[]]).guard)).toMatchObject({ code: "ENDPOINT_UNREACHABLE" });
});

test("allowPrivate lets all of it through", async () => {
  const { guard } = guarded([[PRIVATE, PUBLIC]], true);
  expect(await look(guard)).toEqual([PRIVATE, PUBLIC]);
  expect(guard.refused("127.0.0.1")).toBeUndefined();
});

test("a host that is an address already is judged, in brackets or not; a name is not", () => {
  const { guard } = guarded([[PUBLIC]]);
  for (const host of ["127.0.0.1", "[::1]", "::1", "[::ffff:7f00:1]", "169.254.169.254"]) {
    expect(guard.refused(host)).toMatchObject({ code: "ENDPOINT_ADDRESS_REFUSED" });
  }
  for (const host of ["crm.example.com", "localhost", PUBLIC.address]) expect(guard.refused(host)).toBeUndefined();
});

test("looks for one name at once are one: a resolver that hangs holds one thread an endpoint", async () => {
  const { guard, asked } = guarded([[PUBLIC]]);
  expect(await Promise.all([look(guard), look(guard), look(guard)])).toEqual([[PUBLIC], [PUBLIC], [PUBLIC]]);
  expect(asked()).toBe(1);
});

test("whatever a resolver gives, nothing that is refused is handed out", async () => {
  const address = fc.oneof(
    fc.ipV4().map((text) => ({ address: text, family: 4 })),
    fc.ipV6().map((text) => ({ address: text, family: 6 })),
    fc.constantFrom(PUBLIC, PRIVATE, { address: "::ffff:127.0.0.1", family: 6 }, { address: "fe80::1%lo", family: 6 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(address, { maxLength: 5 }), fc.boolean(), async (answer, all) => {
      const found = await look(guarded([answer]).guard, { all });
      const given = Array.isArray(found) ? found.map((one: LookupAddress) => one.address) : [found];
      for (const one of given) if (typeof one === "string") expect(refusedRange(one)).toBeUndefined();
      const open = answer.some((one) => refusedRange(one.address) === undefined);
      expect(found instanceof Error).toBe(!open);
    }),
  );
});
