// How the automations stand on the bus, for commands: what they have not settled, who steers them, what is dead.

import { type ConsumerInfo, type JetStreamManager, jetstreamManager, type StreamInfo } from "@nats-io/jetstream";
import {
  type Asked,
  blockedPrefix,
  type Control,
  controlKey,
  durableName,
  durableOwner,
  parseControl,
} from "../../../event/control.ts";
import type { StateStore } from "../../state-store.ts";
import type { BusAccess } from "../client/access.ts";
import { apiCodes } from "../client/api-codes.ts";
import { asked, orNothing } from "../client/bus-errors.ts";
import { connectOnce } from "../client/connect-once.ts";
import { DEAD_STREAM } from "../client/dead-letters.ts";
import { MADE_FOR_AUTOMATION } from "../consumer/durable-settings.ts";

const RETRY_STREAM = "MILLRACE_RETRY";

/** One durable of an automation. */
export interface DurableOnBus {
  readonly stream: string;
  readonly durable: string;
  /** Messages not yet handed out, and handed out but not settled. */
  readonly pending: number;
  readonly unacked: number;
  /** Whether a worker asks it for messages, or has asked and works on them, as far as the bus can tell. */
  readonly pulled: boolean;
}

/** One automation. */
export interface AutomationOnBus {
  readonly id: string;
  /** `running`: a worker pulls; `stopped`: none does; `new`: none ever did; `orphaned`: the configuration does not have it. */
  readonly state: "running" | "paused" | "stopped" | "new" | "orphaned";
  /** Who paused it, and when. */
  readonly paused: Asked | null;
  readonly pending: number;
  readonly unacked: number;
  /** Long retries and replays that wait for their time. */
  readonly waiting: number;
  /** Dead letters that are kept of it. */
  readonly dead: number;
  /** Keys that stand still until a person resumes or drops them. */
  readonly blockedKeys: number;
  readonly seek: Control["seek"] | null;
  readonly durables: readonly DurableOnBus[];
}

/** Those of the configuration, in its order, and behind them those that only the bus knows. @throws MillraceError */
export async function automationsOnBus(
  jsm: JetStreamManager,
  state: StateStore,
  ids: readonly string[],
): Promise<readonly AutomationOnBus[]> {
  return asked("look at the automations", async () => {
    const found = await durablesOnBus(jsm);
    const [waiting, dead] = [
      await countBySubject(jsm, RETRY_STREAM, "retry."),
      await countBySubject(jsm, DEAD_STREAM, "dead."),
    ];
    const left = new Set([...found.keys(), ...waiting.keys(), ...dead.keys()]);
    const orphans = [...left].filter((id) => !ids.includes(id) && !id.startsWith("_source.")).sort();
    const one = async (id: string, known: boolean): Promise<AutomationOnBus> => {
      const control = (await readControl(state, id))?.control;
      const current = durableName(id, control?.seek);
      const durables = (found.get(id) ?? []).filter(
        ({ stream, durable }) => durable === current || stream === RETRY_STREAM,
      );
      const ever = (found.get(id)?.length ?? 0) > 0;
      const pulled = durables.some((durable) => durable.pulled);
      const running = pulled ? "running" : ever ? "stopped" : "new";
      const own = durables.filter(({ stream }) => stream !== RETRY_STREAM);
      return {
        id,
        state: known ? (control?.paused ? "paused" : running) : "orphaned",
        paused: control?.paused ?? null,
        pending: own.reduce((sum, { pending }) => sum + pending, 0),
        unacked: own.reduce((sum, { unacked }) => sum + unacked, 0),
        waiting: waiting.get(id) ?? 0,
        dead: dead.get(id) ?? 0,
        blockedKeys: (await state.keys(blockedPrefix(id))).length,
        seek: control?.seek ?? null,
        durables,
      };
    };
    return Promise.all([...ids.map((id) => one(id, true)), ...orphans.map((id) => one(id, false))]);
  });
}

/** What is on record, with its revision. @throws RangeError for what this version does not write; MillraceError */
export async function readControl(
  state: StateStore,
  automation: string,
): Promise<{ readonly control: Control; readonly revision: number } | undefined> {
  const entry = await state.get(controlKey(automation));
  return entry && { control: parseControl(entry.value), revision: entry.revision };
}

/** All durables that automations have made, by the automation's id. */
export async function durablesOnBus(jsm: JetStreamManager): Promise<ReadonlyMap<string, readonly DurableOnBus[]>> {
  const found = new Map<string, DurableOnBus[]>();
  for await (const name of jsm.streams.names()) {
    if (!/^(CDC_|MILLRACE_EVENTS$|MILLRACE_RETRY$)/.test(name)) continue;
    for await (const info of jsm.consumers.list(name)) {
      if (info.config.metadata?.millrace !== MADE_FOR_AUTOMATION.millrace) continue;
      const { automation } = durableOwner(info.name);
      const all = found.get(automation) ?? [];
      found.set(automation, [...all, durableOf(info)]);
    }
  }
  return found;
}

function durableOf(info: ConsumerInfo): DurableOnBus {
  const { stream_name: stream, name: durable, num_pending: pending, num_ack_pending: unacked } = info;
  return { stream, durable, pending, unacked, pulled: info.num_waiting > 0 || isWorkedOn(info) };
}

/**
 * A worker that is full asks for nothing, but what it has in hand it keeps alive: then the server hands it out to nobody else. Both times
 * are the server's, for the clock here may be another; the client's types lack that of its answer.
 */
function isWorkedOn(info: ConsumerInfo & { readonly ts?: string }): boolean {
  const { num_ack_pending, num_pending, delivered, config, ts } = info;
  if (num_ack_pending === 0 || delivered.last_active === undefined) return false;
  const now = ts === undefined ? Date.now() : Date.parse(ts);
  const quietMs = now - Date.parse(String(delivered.last_active));
  return num_pending > 0 && quietMs < 2 * ((config.ack_wait ?? 0) / 1e6);
}

/** How many long retries and replays wait, by the automation that they wait for. @throws MillraceError */
export async function readWaiting(access: BusAccess, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
  await using connection = await connectOnce(access, signal);
  const jsm = await jetstreamManager(connection.nc, { checkAPI: false });
  return await asked(`look into ${RETRY_STREAM}`, () => countBySubject(jsm, RETRY_STREAM, "retry."));
}

/** By the token behind a prefix, which may hold dots; none where there is no stream. */
async function countBySubject(
  jsm: JetStreamManager,
  stream: string,
  prefix: string,
): Promise<ReadonlyMap<string, number>> {
  const listed = jsm.streams.info(stream, { subjects_filter: `${prefix}>` });
  const found: StreamInfo | undefined = await orNothing(listed, apiCodes.streamNotFound);
  const counts = Object.entries(found?.state.subjects ?? {});
  return new Map(counts.map(([subject, count]) => [subject.slice(prefix.length), count]));
}
