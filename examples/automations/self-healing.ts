// Heals a routing session that was lost: starts it anew, looks half a minute later whether that has helped, once more if not,
// and opens a ticket in the end. It never sleeps: the wait is a retry, which outlives the process, and `attempt` says how far it is.
//
// Needs of the database: `alter table peers replica identity full`. There is no `flap` trigger yet, which would act once on a session
// that goes up and down: here each loss is one event, so `reset` must bear being repeated.

import { automation, collection } from "millrace";
import { type Network, network } from "./network.ts";

interface Peer {
  readonly id: string;
  readonly device: string;
  readonly state: "established" | "idle";
}

export const peers = collection<Peer>("ops", "public.peers");

const resets = 2;

/** @param network the one to heal */
export function selfHealingOf({ established, reset }: Pick<Network, "established" | "reset">) {
  return automation(
    "self-healing",
    {
      on: peers.updated({ column: "state", from: "established", to: "idle" }),
      retry: { attempts: 6, min: "2s", max: "30s" },
    },
    async ({ event: { after }, attempt, tx, signal, log, retry }) => {
      if (await established(after.id, signal)) {
        log.info("the session is back", { resets: attempt - 1 });
        return;
      }
      if (attempt <= resets) {
        await reset(after.id, signal);
        throw retry({ after: "30s" });
      }
      await tx(async ({ client, emit }) => {
        const about = `${after.id} stays down after ${resets} resets`;
        await client.query("insert into tickets(kind, device, about) values ('incident', $1, $2)", [
          after.device,
          about,
        ]);
        await emit("ticket.opened", { key: after.device, data: { kind: "incident", peer: after.id } });
      });
    },
  );
}

export const selfHealing = selfHealingOf(network);
