// The trigger on one kind of change of one collection: which subjects it takes, what it decodes, what it needs of the log.

import type { ChangeEvent } from "../../event/change-event.ts";
import type { Columns } from "../../event/column-kind.ts";
import { parseEvent, type StoredMessage } from "../../event/parse-event.ts";
import type { SourceId } from "../../event/source-id.ts";
import { changeSubjectPrefix } from "../../event/subject.ts";
import type { RowShape } from "../pattern/columns.ts";
import { CHANGE_FIELDS, type EventShape } from "../pattern/event-shape.ts";
import type { RowCondition } from "./row-condition.ts";
import type {
  DeclaredCollection,
  Image,
  NeededImages,
  Trigger,
  TriggerCheck,
  TriggerSubscription,
  TriggerWarning,
} from "./trigger.ts";

/** Makes what the handler gets of a change. @throws PoisonError */
export type DecodeChange = (event: ChangeEvent) => ChangeEvent;

/** What a trigger may wait for. */
export type ChangeOp = "created" | "updated" | "deleted" | "truncated";

/** Starts at one kind of change of one collection. */
export interface ChangeTrigger<Event = ChangeEvent> extends Trigger<Event> {
  readonly source: SourceId;
  /** The whole subject, all lanes: `cdc.shop.public.orders.created.*`. */
  readonly filter: string;
}

/** Which changes. */
interface ChangesOf {
  readonly source: SourceId;
  readonly namespace: string;
  readonly name: string;
  readonly op: ChangeOp;
  /** Undefined where nothing is known of the row. */
  readonly row: RowShape | undefined;
  /** Undefined for the change itself. */
  readonly decode: DecodeChange | undefined;
  /** Whether it takes rows too that a copy of the collection has stored (op `read`). Default: none of them. */
  readonly copies?: true;
}

export interface CollectionTriggerOptions extends ChangesOf {
  readonly declared: DeclaredCollection | undefined;
  /** What the handler reads. */
  readonly images: readonly Image[];
  /** Undefined where all of them start it. */
  readonly condition?: RowCondition | undefined;
}

/** What an op leaves out of every event. */
const NULLS: Readonly<Record<ChangeOp, Readonly<Record<string, null>>>> = {
  created: { before: null },
  updated: {},
  deleted: { after: null },
  truncated: { key: null, before: null, after: null },
};

/** What is known of such changes before one has come. Where the author says nothing of the columns, and decodes none, the events do. */
export function shapeOfChanges({ source, namespace, name, op, row, decode, copies }: ChangesOf): EventShape {
  const fixed = { ...(copies === undefined && { op }), source, namespace, collection: name, ...NULLS[op] };
  const collection = { source, namespace, name, op };
  return {
    fields: CHANGE_FIELDS,
    fixed,
    row,
    collection,
    ...(row === undefined && decode === undefined && { learns: true }),
  };
}

export class CollectionTrigger implements ChangeTrigger<never> {
  readonly source: SourceId;
  readonly filter: string;
  readonly declared: DeclaredCollection | undefined;
  readonly needs: readonly NeededImages[];
  readonly asksColumns: boolean;
  readonly compares: readonly string[];
  readonly shape: EventShape;
  readonly #options: CollectionTriggerOptions;
  /** Of its subjects, up to the lane. */
  readonly #prefixes: readonly string[];

  constructor(options: CollectionTriggerOptions) {
    const { source, namespace, name, op, declared, condition } = options;
    this.#options = options;
    const prefix = changeSubjectPrefix(source, namespace, name, op);
    this.#prefixes = options.copies ? [prefix, changeSubjectPrefix(source, namespace, name, "read")] : [prefix];
    this.source = source;
    this.filter = `${prefix}*`;
    this.declared = declared;
    this.shape = shapeOfChanges(options);
    this.needs = needsOf(options);
    this.asksColumns = condition?.asksColumns ?? false;
    this.compares = (this.shape.learns && condition?.columns) || [];
  }

  subscriptions(): readonly TriggerSubscription[] {
    return this.#prefixes.map((prefix) => ({ source: this.source, filter: `${prefix}*` }));
  }

  withCopies(): Trigger | undefined {
    const { op } = this.#options;
    return op === "created" ? Object.freeze(new CollectionTrigger({ ...this.#options, copies: true })) : undefined;
  }

  decode(message: StoredMessage): ChangeEvent | undefined {
    for (const prefix of this.#prefixes) {
      if (!message.subject.startsWith(prefix)) continue;
      const event = parseEvent(message);
      return this.#options.decode?.(event) ?? event;
    }
    return undefined;
  }

  match(event: ChangeEvent, columns?: Columns): boolean {
    return this.#options.condition?.holds(event, columns) ?? true;
  }

  check({ known }: TriggerCheck): readonly TriggerWarning[] {
    if (known === undefined) return [];
    const { source, namespace, name } = this.#options;
    if (!known.all.includes(source)) {
      return [
        {
          code: "AUTOMATION_SOURCE_UNKNOWN",
          message: `it listens to the source ${source}, which this configuration does not have: it waits until another worker makes its stream`,
          fix: `Correct the name; the configuration has ${known.all.join(", ") || "none"}.`,
        },
      ];
    }
    const read = known.collections(source);
    if (read === undefined || read.some((one) => one.namespace === namespace && one.name === name)) return [];
    return [
      {
        code: "AUTOMATION_NEVER_MATCHES",
        message: `it listens to ${this.filter}, and the source ${source} reads no such collection: no event will ever match`,
        fix: `Correct the collection's name in the automation, or let the source's option tables (MongoDB: collections) name it; it must exist.`,
      },
    ];
  }
}

/** What the handler reads, and apart from it what the condition compares. */
function needsOf(options: CollectionTriggerOptions): readonly NeededImages[] {
  const { source, namespace, name, op, images, condition, declared } = options;
  const collection = { source, namespace, name, op };
  const read = images.length === 0 ? [] : [{ ...collection, images }];
  if (condition === undefined) return read;
  const compared: NeededImages = {
    ...collection,
    images: ["before"],
    columns: [condition.columns],
    ...(declared && { properties: declared.properties }),
    ...(!condition.needsBefore && { orChanged: true as const }),
    by: "trigger",
  };
  return [...read, compared];
}
