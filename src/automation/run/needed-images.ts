// Images that handlers or patterns read and that a source's log does not carry: that is told at the start, not of each event.

import { type Clock, within } from "../../clock.ts";
import { ConfigError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Automation } from "../define/automation.ts";
import type { Image, NeededImages } from "../define/trigger.ts";
import type { Refusal } from "./refusal.ts";

const CHECK_MS = 10_000;

/** What such changes carry; undefined where its kind of source does not tell, or they always carry it. @throws MillraceError */
export type CarriedOf = (
  source: SourceId,
  of: Pick<NeededImages, "namespace" | "name" | "op" | "images">,
) => Promise<Carried>;

type Carried =
  | {
      readonly images: readonly Image[];
      /** Those that `before` has, where it is not the whole row. */
      readonly beforeColumns?: readonly string[];
      /** Whether an update says which columns changed also without a row before. */
      readonly tellsChanged?: true;
      readonly why: string;
      /** What mends it: SQL, one statement a line, or sentences. */
      readonly fix: string;
    }
  | undefined;

/**
 * All that is lacking, as far as the databases answer in time: events that are in the stream do not wait for one that is away.
 * @returns with ConfigErrors `AUTOMATION_IMAGES`
 */
export async function lackingImages(
  automations: readonly Automation[],
  carriedOf: CarriedOf,
  clock: Clock,
): Promise<readonly Refusal[]> {
  const asked = new Map<string, ReturnType<CarriedOf>>();
  const carried = (needs: NeededImages): ReturnType<CarriedOf> => {
    const { source, namespace, name, op, images } = needs;
    const key = JSON.stringify([source, namespace, name, op, images]);
    const answer = asked.get(key) ?? within(clock, CHECK_MS, carriedOf(source, needs));
    asked.set(key, answer);
    return answer;
  };
  const checks = automations.flatMap(({ id, needs }) => needs.map(async (one) => refusal(id, one, await carried(one))));
  const results = await Promise.allSettled(checks);
  return results.flatMap((one) => (one.status === "fulfilled" ? (one.value ?? []) : []));
}

function refusal(id: string, needs: NeededImages, carried: Carried): Refusal | undefined {
  if (carried === undefined) return undefined;
  const { source, namespace, name, images, by, orChanged } = needs;
  const lacking = images.filter((image) => !carried.images.includes(image) && !(orChanged && carried.tellsChanged));
  const columns = lacking.includes("before") ? [] : lackingColumns(needs, carried.beforeColumns);
  if (lacking.length === 0 && columns.length === 0) return undefined;
  const what = columns.length > 0 ? `before.${columns.join(" and before.")}` : lacking.join(" and ");
  const orElse = "Or say what the handler reads: images: [] on its trigger, for the key alone.";
  const error = new ConfigError(
    "AUTOMATION_IMAGES",
    `${id}: its ${by ?? "handler"} reads ${what} of ${namespace}.${name} of the source ${source}, which events do not carry: ${carried.why}`,
    { hint: by === undefined ? withSentence(carried.fix, orElse) : carried.fix },
  );
  return { automation: id, error };
}

/** A statement keeps a line of its own, so that it can be copied. */
function withSentence(fix: string, sentence: string): string {
  return `${fix}${/;( --.*)?$/.test(fix) ? "\n" : " "}${sentence}`;
}

/** Of the first list of columns that are read; empty where those of some list are all there. */
function lackingColumns(
  { columns, properties }: NeededImages,
  there: readonly string[] | undefined,
): readonly string[] {
  if (columns === undefined || there === undefined) return [];
  const names = there.map((column) => properties?.get(column) ?? column);
  const isThere = (column: string): boolean => names.some((name) => column === name || column.startsWith(`${name}.`));
  const lacking = columns.map((list) => list.filter((column) => !isThere(column)));
  return lacking.some((list) => list.length === 0) ? [] : (lacking[0] ?? []);
}
