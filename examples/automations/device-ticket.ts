// A ticket when a device fails: an interface went down. Whether its device can still be reached decides which ticket it is.
//
// Needs of the database: `alter table interfaces replica identity full`.

import { automation, collection } from "millrace";
import { type Network, network } from "./network.ts";

interface Interface {
  readonly id: string;
  readonly device: string;
  readonly status: "up" | "down";
}

export const interfaces = collection<Interface>("ops", "public.interfaces");

/** @param reachable asks the device itself; it may throw */
export function deviceTicketBy({ reachable }: Pick<Network, "reachable">) {
  return automation(
    "device-ticket",
    {
      on: interfaces.updated({ column: "status", from: "up", to: "down" }),
      concurrency: 5,
      timeout: "20s",
      retry: { attempts: 3, min: "2s", max: "8s", maxAge: "24h" },
    },
    async ({ event: { after }, tx, signal }) => {
      const kind = (await reachable(after.device, signal)) ? "work" : "incident";
      await tx(async ({ client, emit }) => {
        await client.query("insert into tickets(kind, device, about) values ($1, $2, $3)", [
          kind,
          after.device,
          kind === "work" ? `${after.id} is down` : "the device cannot be reached",
        ]);
        await emit("ticket.opened", { key: after.device, data: { kind, interface: after.id } });
      });
    },
  );
}

export const deviceTicket = deviceTicketBy(network);
