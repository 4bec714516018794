// Events of a table that is declared with drizzle: what handlers get is what drizzle's own query gives.

import { drizzle } from "drizzle-orm/node-postgres";
import {
  bigint,
  bigserial,
  boolean,
  customType,
  date,
  doublePrecision,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgSchema,
  pgTable,
  point,
  smallint,
  text,
  timestamp,
  uuid,
  varchar,
} from "drizzle-orm/pg-core";
import { describe, expect, expectTypeOf, test } from "vitest";
import type { CreatedEvent, DeletedEvent, Trigger } from "../../src/automation/collection.ts";
import { fromDrizzle } from "../../src/automation/from-drizzle.ts";
import type { ChangeEvent } from "../../src/event/change-event.ts";
import { parseEvent } from "../../src/event/parse-event.ts";
import { headers } from "../support/decode-frames.ts";
import { postgresFixture } from "../support/postgres-fixture.ts";
import type { Reading } from "../support/postgres-reader.ts";
import { missing } from "../support/servers.ts";

const bytes = customType<{ data: Buffer }>({ dataType: () => "bytea" });
const mood = pgEnum("mood", ["happy", "sad"]);

const everything = pgTable("everything", {
  orderId: bigserial("order_id", { mode: "bigint" }).primaryKey(),
  small: smallint(),
  whole: integer("whole_number"),
  large: bigint({ mode: "number" }),
  price: numeric("price", { precision: 10, scale: 2 }),
  priceNumber: numeric("price_number", { mode: "number" }),
  ratio: doublePrecision(),
  paid: boolean(),
  placedAt: timestamp("placed_at", { withTimezone: true, precision: 3 }),
  placedLocal: timestamp("placed_local", { precision: 3 }),
  placedText: timestamp("placed_text", { withTimezone: true, mode: "string" }),
  placedLocalText: timestamp("placed_local_text", { mode: "string" }),
  day: date("on_day"),
  dayDate: date("on_day_date", { mode: "date" }),
  meta: jsonb().$type<{ readonly a: number }>(),
  mood: mood(),
  reference: uuid(),
  raw: bytes("raw_bytes"),
  place: point(),
  placeObject: point("place_object", { mode: "xy" }),
  tags: text().array(),
  amounts: bigint({ mode: "bigint" }).array().array(),
  nothing: varchar({ length: 20 }),
});
const accounts = pgSchema("sales").table("account", { accountId: integer("account_id").primaryKey() });

const TABLES = `
  create type mood as enum ('happy', 'sad');
  create table everything(order_id bigserial primary key, small smallint, whole_number int, large bigint, price numeric(10,2),
    price_number numeric, ratio float8, paid boolean, placed_at timestamptz(3), placed_local timestamp(3),
    placed_text timestamptz, placed_local_text timestamp, on_day date, on_day_date date, meta jsonb, mood mood,
    reference uuid, raw_bytes bytea, place point, place_object point, tags text[], amounts bigint[][],
    nothing varchar(20), not_declared text default 'x');
  alter table everything replica identity full`;

describe.skipIf(missing("postgres"))("fromDrizzle", () => {
  const fixture = postgresFixture(TABLES);
  const decoded = (reading: Reading, trigger: Trigger): ChangeEvent[] =>
    reading.events
      .filter(({ subject }) => subject.startsWith(trigger.filter.slice(0, -1)))
      .map((message) => {
        const lines: Record<string, string> = { ...headers(message), "Cdc-Pos": message.position };
        const event = parseEvent({ ...message, header: (name) => lines[name], sequence: 1 });
        return trigger.decode?.(event) ?? event;
      });

  test("gives rows, keys and changed columns as drizzle's own query does", async () => {
    const { reading } = await fixture.begin();
    await fixture.database.query(`
      insert into everything values (9007199254740993, 1, -2, 9007199254740991, 1.50, 2.5, 0.1, true,
        '2024-02-29 18:29:59.123+00', '2024-02-29 18:29:59.5', '2024-02-29 18:29:59.123456+00', '2024-02-29 18:29:59',
        '2024-02-29', '2024-02-29', '{"a": 1}', 'sad', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\xdeadbeef', '(1,2.5)',
        '(1,2.5)', '{a,NULL,"b c"}', '{{1,9007199254740993},{3,4}}', null);
      insert into everything(ratio) values ('NaN')`);
    const client = await fixture.database.connect();
    await client.query("set timezone = 'UTC'");
    const rows = await drizzle(client).select().from(everything).orderBy(everything.placedAt);
    await client.end();
    await fixture.database.query("update everything set whole_number = 7 where paid");
    await reading.rows(3);

    const created = decoded(reading, fromDrizzle("shop", everything).created());
    expect(created.map(({ after }) => after)).toEqual(rows);
    expect(created[0]?.key).toEqual({ orderId: 9007199254740993n });
    const [updated] = decoded(reading, fromDrizzle("shop", everything).updated());
    expect(updated).toMatchObject({ changed: ["whole"], after: { whole: 7 }, before: { whole: -2 } });

    const [raw] = decoded(reading, fromDrizzle("shop", everything, { raw: true }).created());
    expect(raw?.after).toMatchObject({ order_id: "9007199254740993", not_declared: "x" });
    await reading.stop();
  });

  test("is typed by the table, and knows its schema", () => {
    const trigger = fromDrizzle("shop", everything).created();
    type Row = typeof everything.$inferSelect;
    expectTypeOf(trigger).toEqualTypeOf<Trigger<CreatedEvent<Row, Readonly<Pick<Row, "orderId">>>>>();
    const keyless = pgTable("log", { line: text() });
    type Line = Readonly<Partial<typeof keyless.$inferSelect>> | null;
    expectTypeOf(fromDrizzle("shop", keyless).deleted()).toEqualTypeOf<
      Trigger<DeletedEvent<typeof keyless.$inferSelect, Line>>
    >();
    expect(fromDrizzle("shop", accounts).deleted().filter).toBe("cdc.shop.sales.account.deleted.*");
  });

  test("refuses what is no table, and a value that is not what was declared", () => {
    expect(() => fromDrizzle("shop", {} as typeof accounts)).toThrow("no drizzle table");
    const wrong = pgTable("account", { accountId: bigint("account_id", { mode: "bigint" }) });
    const event = { op: "created", key: null, before: null, after: { account_id: "***" } } as unknown as ChangeEvent;
    expect(() => fromDrizzle("shop", wrong).created().decode?.(event)).toThrow("the column account_id holds no");
  });
});
