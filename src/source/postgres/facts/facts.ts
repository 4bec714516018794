// What a start goes by, each thing asked once: the source's own slot, tables and publication; the server, and what the role may.

import type { SourceId } from "../../../event/source-id.ts";
import type { ServerIdentity, Session } from "../client/session.ts";
import type { PostgresConfig } from "../options/config.ts";
import { type Names, namesOf } from "./names.ts";
import { type OutboxFacts, readOutbox } from "./outbox.ts";
import { type PublicationFacts, readPublication } from "./publication.ts";
import { type ReselectFacts, readReselect } from "./reselect.ts";
import { OLDEST, readServer, type ServerFacts } from "./server.ts";
import { readSlots, type Slot } from "./slots.ts";
import { type FoundTables, readTables, type TableFacts } from "./tables.ts";

/** What a start builds on, and what another worker or a person may have changed: read under the lease too. */
export interface OwnFacts {
  readonly version: number;
  readonly names: Names;
  /** All of the server. */
  readonly slots: readonly Slot[];
  /** The source's; undefined where there is none. */
  readonly slot: Slot | undefined;
  readonly found: FoundTables<TableFacts>;
  readonly publication: PublicationFacts;
}

/** With what the server refuses by itself when it is needed, or what may change while the source runs as well. */
export interface AllFacts extends OwnFacts {
  readonly server: ServerFacts;
  readonly reselect: readonly ReselectFacts[];
  readonly outbox: OutboxFacts | undefined;
}

/** @throws ConfigError, TransientError */
export async function readOwn(
  session: Session,
  id: SourceId,
  config: PostgresConfig,
  { version }: Pick<ServerIdentity, "version">,
): Promise<OwnFacts> {
  const names = namesOf(id, config);
  const slots = await readSlots(session);
  const found = await readTables(session, config, version);
  const publication = await readPublication(session, id, names, found.tables, version);
  return { version, names, slots, slot: slots.find(({ name }) => name === names.slot), found, publication };
}

/** Undefined of a server that is too old to be asked. @throws ConfigError, TransientError */
export async function readAll(
  session: Session,
  id: SourceId,
  config: PostgresConfig,
  identity: ServerIdentity,
): Promise<AllFacts | undefined> {
  if (identity.version < OLDEST) return undefined;
  const own = await readOwn(session, id, config, identity);
  return {
    ...own,
    server: await readServer(session, identity, own.slots),
    reselect: await readReselect(session, config.rulesOf, own.found.tables),
    outbox: await readOutbox(session, config),
  };
}
