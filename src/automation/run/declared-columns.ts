// Columns whose values a handler cannot get as they are declared: that is told before the first event, not of each.

import { type Clock, within } from "../../clock.ts";
import { ConfigError, MillraceError, TransientError } from "../../errors.ts";
import type { SourceId } from "../../event/source-id.ts";
import type { Automation } from "../define/automation.ts";
import type { DeclaredCollection } from "../define/trigger.ts";
import type { Refusal } from "./refusal.ts";

const CHECK_MS = 10_000;

/** Columns that are objects with names of the database's own; `type` as it writes it. @throws MillraceError */
export type StructuredOf = (
  source: SourceId,
  collection: DeclaredCollection,
) => Promise<readonly { readonly name: string; readonly type: string }[]>;

/** Each collection is asked for once, for as long as nothing is wrong with it: its database may be away later. */
export class DeclaredColumns {
  readonly #structuredOf: StructuredOf;
  readonly #clock: Clock;
  readonly #fit = new Set<DeclaredCollection>();

  constructor(structuredOf: StructuredOf, clock: Clock) {
    this.#structuredOf = structuredOf;
    this.#clock = clock;
  }

  /** All that is wrong, as far as the databases answer in time. Never rejects. */
  async refusals(automations: readonly Automation[]): Promise<readonly Refusal[]> {
    const checks = automations.flatMap((automation) =>
      [...new Set(automation.triggers.flatMap(({ declared }) => declared?.source ?? []))].map((source) =>
        within(this.#clock, CHECK_MS, this.check(automation, source)).then(
          () => [],
          (error: unknown) => (error instanceof ConfigError ? [{ automation: automation.id, error }] : []),
        ),
      ),
    );
    return (await Promise.all(checks)).flat();
  }

  /**
   * What an automation declares of one source.
   * @throws ConfigError `AUTOMATION_COLUMN_STRUCTURED`; TransientError while that cannot be asked
   */
  async check({ id, triggers }: Automation, source: SourceId): Promise<void> {
    const declared = triggers.flatMap((one) => (one.declared?.source === source ? one.declared : []));
    for (const collection of new Set(declared)) {
      if (this.#fit.has(collection)) continue;
      const structured = await this.#structuredOf(source, collection).catch(forNow);
      const found = structured.find(({ name }) => collection.properties.has(name));
      if (found !== undefined) throw refusal(id, collection, found);
      this.#fit.add(collection);
    }
  }
}

/** What the source itself is refused for, its own start says. @throws TransientError; what is no error of ours */
function forNow(thrown: unknown): never {
  if (!(thrown instanceof MillraceError)) throw thrown;
  const { code, message, hint = "nothing to do: it is asked again" } = thrown;
  throw new TransientError("AUTOMATION_COLUMNS_UNKNOWN", `${code}: ${message}`, { hint, cause: thrown });
}

function refusal(
  id: string,
  { namespace, name, properties }: DeclaredCollection,
  column: { readonly name: string; readonly type: string },
): ConfigError {
  const message = `${id}: the column ${column.name} of ${namespace}.${name}, declared as ${properties.get(column.name)}, has the type ${column.type}: its values in events are objects, and drizzle's own select gives text`;
  return new ConfigError("AUTOMATION_COLUMN_STRUCTURED", message, {
    hint: `let events have the text: values: { "${column.name}": "text" } for ${namespace}.${name} in the source's option tables; or give fromDrizzle raw: true, or leave the column out of the table that it is given`,
  });
}
