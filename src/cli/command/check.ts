// `millrace check`: every precondition of source and bus, each with what mends it. It changes nothing.

import type { Automation } from "../../automation/define/automation.ts";
import { automationFindings, type ListenedSource } from "../../automation/define/check-automations.ts";
import { readWaiting } from "../../bus/jetstream/commands/automations-on-bus.ts";
import { checkBus } from "../../bus/jetstream/commands/check-bus.ts";
import { readSavedMemory, readStoredPositions } from "../../bus/jetstream/commands/on-record.ts";
import { findSourceOnBus } from "../../bus/jetstream/commands/remove-source.ts";
import { refuseOpenHttp } from "../../config/http.ts";
import { refuseIdle, resolveConfig } from "../../config/resolve.ts";
import { columnWarnings, connectors, listedCollections, rowRefusals, triggerConfigOf } from "../../connectors.ts";
import { endpointFindings } from "../../egress/check-endpoints.ts";
import { type SourceId, streamName, systemId } from "../../event/source-id.ts";
import { ingressFindings } from "../../ingress/findings.ts";
import { ingressPlan } from "../../ingress/plan.ts";
import { type Finding, findingOf, isStatement, sqlOf } from "../../telemetry/finding.ts";
import { redact } from "../../telemetry/redact.ts";
import { chooseSources } from "../common/capable-sources.ts";
import { readCopiedOnce } from "../common/copy-watch.ts";
import { type CommandOptions, readConfig } from "../common/load-config.ts";
import { type Paint, paint, printable, wrap } from "../common/terminal.ts";

export interface CheckOptions extends CommandOptions {
  /** Undefined means all. */
  readonly source?: string | undefined;
  readonly json: boolean;
}

/** One line of the report: a finding, and whose it is. */
interface Located extends Finding {
  /** A source's id, `bus`, `ingress`, or `automations`. */
  readonly of: string;
  /** What of `fix` is SQL for the source's database; absent where none is. */
  readonly sql?: readonly string[];
}

/** Resolves to whether none failed. @throws ConfigError for what is wrong with the file itself */
export async function check({ config: file, source, json, signal, print }: CheckOptions): Promise<boolean> {
  const config = resolveConfig(await readConfig(file, true), connectors);
  refuseOpenHttp(config.http); // as `run` would
  refuseIdle(config);
  ingressPlan(config.received);
  const sources = chooseSources(config.sources, source);
  const found: Located[] = [];
  const part = async (
    of: string,
    title: string,
    findings: AsyncIterable<Finding> | readonly Finding[],
  ): Promise<void> => {
    if (!json) await print(found.length === 0 ? title : `\n${title}`);
    for await (const finding of findings) {
      const sql = sqlOf(finding.fix);
      found.push({ of, ...finding, ...(sql.length > 0 ? { sql } : {}) });
      if (json) continue;
      for (const line of findingLines(finding, paint(process.stdout))) await print(line);
    }
  };
  const ids = sources.map(([id]) => id);
  const { replicas, fsync, retention } = config.bus;
  const access = config.bus.access.reveal();
  // Where the bus cannot be asked, its own findings say why.
  const saved = await readSavedMemory(ids, access, signal).catch(() => undefined);
  const stored = saved && (await readStoredPositions(ids, access, signal).catch(() => undefined));
  const copied = saved && (await readCopiedOnce(ids, config.bus, signal).catch(() => undefined));
  for (const [id, { kind, config: section }] of sources) {
    const others = [...config.sources].filter(([other, { kind: its }]) => other !== id && its === kind);
    const context = {
      saved: saved === undefined ? ("unknown" as const) : saved.get(id),
      stored: stored?.get(id),
      copied: copied?.get(id),
      others: new Map(others.map(([other, { config: its }]) => [other, its.reveal()])),
      signal,
    };
    const findings = connectors.get(kind)?.check(id, section.reveal(), context);
    if (findings !== undefined) await part(id, `${id} (${kind})`, findings);
  }
  await part("bus", "bus", checkBus({ ...access, replicas, fsync, retention, sources: ids, signal }));
  const receiving = ingressFindings(config.received);
  if (receiving.length > 0) await part("ingress", "ingress", receiving);
  const automations = config.automations as readonly Automation[];
  const looked = { ...config, sources: new Map(sources) };
  const collectionsOf = listedCollections(looked);
  const listened = await listenedSources(sources, collectionsOf, { ...access, signal });
  const refusals = await rowRefusals(looked, automations);
  const findings = [
    ...automationFindings(
      automations,
      { all: [...config.sources.keys()], ...triggerConfigOf(config) },
      listened,
      await readWaiting(access, signal).catch(() => undefined), // the bus' own findings say why
    ).filter(
      ({ level, subject }) => level !== "ok" || !refusals.some((one) => subject === `automation ${one.automation}`),
    ),
    ...refusals.map(({ error }) => findingOf(error, "automations")),
    ...(await columnWarnings(automations, collectionsOf)),
  ];
  if (findings.length > 0) await part("automations", "automations", findings);
  const reached = await endpointFindings(config.endpoints);
  if (reached.length > 0) await part("endpoints", "endpoints", reached);
  const [ok, warn, fail] = (["ok", "warn", "fail"] as const).map((level) => found.filter((f) => f.level === level));
  const counts = { ok: ok?.length ?? 0, warn: warn?.length ?? 0, fail: fail?.length ?? 0 };
  if (json) await print(redact(JSON.stringify({ ok: counts.fail === 0, counts, findings: found })));
  else await print(`\n${counts.ok} ok, ${counts.warn} to look at, ${counts.fail} failed`);
  return counts.fail === 0;
}

/** The worker's own events among them. Who cannot be asked has said so among the findings before. */
async function listenedSources(
  sources: ReturnType<typeof chooseSources>,
  collectionsOf: ReturnType<typeof listedCollections>,
  bus: Parameters<typeof findSourceOnBus>[1],
): Promise<ReadonlyMap<SourceId, ListenedSource>> {
  const asked = [...sources.map(([id]) => id), systemId].map(async (id) => {
    const collections = await collectionsOf(id).catch(() => undefined);
    const onBus = await findSourceOnBus(id, bus).catch(() => null);
    const durables = onBus?.durables.flatMap(({ name, automation }) => (automation ? [name] : [])) ?? [];
    return [id, { collections, durables, stream: streamName(id) }] as const;
  });
  return new Map(await Promise.all(asked));
}

const COLOURS = { ok: "green", warn: "yellow", fail: "red" } as const;

/** What is said, within 100 columns; SQL stays whole, so that it can be copied. */
function findingLines({ level, code, subject, message, fix }: Finding, colour: Paint): readonly string[] {
  const mark = colour(COLOURS[level], level.padEnd(4));
  const text = level === "ok" ? `${subject}: ${message}` : `${subject}: ${message} [${code}]`;
  const lines = wrap(printable(redact(text)), 92).map((line, nth) => `  ${nth === 0 ? mark : "    "}  ${line}`);
  for (const line of level === "ok" || fix === undefined ? [] : fix.split("\n")) {
    const words = printable(redact(line));
    const parts = isStatement(words) ? [words] : wrap(words, 87);
    lines.push(...parts.map((part, nth) => `        ${nth === 0 ? "fix: " : "     "}${part}`));
  }
  return lines;
}
