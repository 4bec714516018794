// Images that handlers or patterns read and that a source's log does not carry: that is told at the start, not of each event.

import { type Clock, within } from "../../clock.ts";
import { ConfigError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Automation } from "../define/automation.ts";
import type { Image, NeededImages } from "../define/trigger.ts";

const CHECK_MS = 10_000;

/** What a collection's changes carry; undefined where its kind of source does not tell. @throws MillraceError */
export type CarriedOf = (
  source: SourceId,
  collection: Pick<NeededImages, "namespace" | "name">,
) => Promise<{ readonly images: readonly Image[]; readonly why: string; readonly fix: string } | undefined>;

/**
 * All that is lacking, as far as the databases answer in time: events that are in the stream do not wait for one that is away.
 * @returns ConfigErrors `AUTOMATION_IMAGES`
 */
export async function lackingImages(
  automations: readonly Automation[],
  carriedOf: CarriedOf,
  clock: Clock,
): Promise<readonly ConfigError[]> {
  const asked = new Map<string, ReturnType<CarriedOf>>();
  const carried = (needs: NeededImages): ReturnType<CarriedOf> => {
    const { source, namespace, name } = needs;
    const key = JSON.stringify([source, namespace, name]);
    const answer = asked.get(key) ?? within(clock, CHECK_MS, carriedOf(source, needs));
    asked.set(key, answer);
    return answer;
  };
  const checks = automations.flatMap(({ id, needs }) => needs.map(async (one) => refusal(id, one, await carried(one))));
  const results = await Promise.allSettled(checks);
  return results.flatMap((one) => (one.status === "fulfilled" ? (one.value ?? []) : []));
}

function refusal(
  id: string,
  { source, namespace, name, images, by }: NeededImages,
  carried: Awaited<ReturnType<CarriedOf>>,
): ConfigError | undefined {
  const lacking = images.filter((image) => carried?.images.includes(image) === false);
  if (carried === undefined || lacking.length === 0) return undefined;
  return new ConfigError(
    "AUTOMATION_IMAGES",
    `${id}: its ${by ?? "handler"} reads ${lacking.join(" and ")} of ${namespace}.${name} of the source ${source}, which events do not carry: ${carried.why}`,
    {
      hint: `${carried.fix} Or say what the handler reads: images: [] on its trigger, for the key alone.`,
    },
  );
}
