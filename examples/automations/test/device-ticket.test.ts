import { given } from "millrace/testing";
import { expect, test } from "vitest";
import { deviceTicketBy, interfaces } from "../device-ticket.ts";

const down = (device: string, id = "eth0") =>
  interfaces.row({ id, device, status: "up" }).updatedTo({ status: "down" });

test("an interface that goes down gets a work ticket, and an incident where its device cannot be reached", async () => {
  const r = await given([down("switch-1"), down("switch-2")]).when(
    deviceTicketBy({ reachable: async (device) => device === "switch-1" }),
  );

  expect(r.emitted.map(({ key, data }) => [key, data])).toEqual([
    ["switch-1", { kind: "work", interface: "eth0" }],
    ["switch-2", { kind: "incident", interface: "eth0" }],
  ]);
  expect(r.statements.map(({ values }) => values)).toEqual([
    ["work", "switch-1", "eth0 is down"],
    ["incident", "switch-2", "the device cannot be reached"],
  ]);
});

test("work that failed is not acknowledged: it is tried again, and its ticket is opened once", async () => {
  let asked = 0;
  const r = await given([down("switch-1")]).when(
    deviceTicketBy({
      reachable: async () => {
        if (++asked < 3) throw new Error("no route");
        return true;
      },
    }),
  );

  expect(r.outcomes).toMatchObject([{ outcome: "done", attempts: 3 }]);
  expect(r.statements).toHaveLength(1);
});

test("an error that never goes away ends as a dead letter, after waits of 2 to 8 s, with the event and what was thrown", async () => {
  const r = await given([down("switch-1")]).when(
    deviceTicketBy({
      reachable: async () => {
        throw new Error("no route");
      },
    }),
  );

  expect(r.outcomes).toMatchObject([{ outcome: "dead", reason: "exhausted", attempts: 3 }]);
  for (const wait of r.outcomes[0]?.waits ?? []) expect([wait >= 2000, wait <= 8000]).toEqual([true, true]);
  const [letter] = r.deadLetters;
  expect(letter).toMatchObject({ reason: "exhausted", attempts: 3, error: { message: "no route" } });
  expect(JSON.parse(letter?.event.data ?? "")).toMatchObject({ key: { id: "eth0" }, after: { device: "switch-1" } });
});

test("devices are asked side by side, five at most, however many fail at once", async () => {
  let [running, most] = [0, 0];
  const reachable = async (): Promise<boolean> => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
    return true;
  };
  const r = await given(Array.from({ length: 20 }, (_, nth) => down(`switch-${nth}`))).when(
    deviceTicketBy({ reachable }),
  );

  expect(most).toBe(5);
  expect(r.outcomes.every(({ outcome }) => outcome === "done")).toBe(true);
});

test("a device that does not answer is given up at the timeout, and keeps no other waiting for good", async () => {
  const r = await given([down("silent"), down("switch-1")], { patience: "20ms" }).when(
    deviceTicketBy({
      reachable: async (device, signal) => {
        if (device !== "silent") return true;
        return await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    }),
  );

  expect(r.outcomes).toMatchObject([
    { outcome: "dead", attempts: 3, error: { code: "AUTOMATION_TIMEOUT" } },
    { outcome: "done", attempts: 1 },
  ]);
});
