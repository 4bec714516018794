// Events of a table that is declared with drizzle: what handlers get is what drizzle's own query gives.

import { getTableColumns } from "drizzle-orm";
import { drizzle } from "drizzle-orm/node-postgres";
import {
  bigint,
  bigserial,
  bit,
  boolean,
  char,
  cidr,
  customType,
  date,
  doublePrecision,
  inet,
  integer,
  interval,
  json,
  jsonb,
  line,
  macaddr,
  macaddr8,
  numeric,
  type PgColumnBuilderBase,
  pgEnum,
  pgSchema,
  pgTable,
  point,
  real,
  serial,
  smallint,
  smallserial,
  text,
  time,
  timestamp,
  uuid,
  varchar,
} from "drizzle-orm/pg-core";
import { describe, expect, expectTypeOf, onTestFinished, test } from "vitest";
import type { CreatedEvent, DeletedEvent } from "../../../src/automation/define/change-events.ts";
import type { ChangeTrigger } from "../../../src/automation/define/collection-trigger.ts";
import { fromDrizzle } from "../../../src/automation/define/from-drizzle.ts";
import type { Trigger } from "../../../src/automation/define/trigger.ts";
import type { ChangeEvent } from "../../../src/event/change-event.ts";
import { headers } from "../../support/postgres/decode-frames.ts";
import { postgresFixture } from "../../support/postgres/fixture.ts";
import type { Reading } from "../../support/postgres/reader.ts";
import { missing } from "../../support/servers.ts";

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
  create type mood as enum ('happy', 'sad'); create domain odd as text;
  create table everything(order_id bigserial primary key, small smallint, whole_number int, large bigint, price numeric(10,2),
    price_number numeric, ratio float8, paid boolean, placed_at timestamptz(3), placed_local timestamp(3),
    placed_text timestamptz, placed_local_text timestamp, on_day date, on_day_date date, meta jsonb, mood mood,
    reference uuid, raw_bytes bytea, place point, place_object point, tags text[], amounts bigint[][],
    nothing varchar(20), not_declared text default 'x');
  alter table everything replica identity full`;

const custom = (type: string) => customType<{ data: unknown }>({ dataType: () => type })();
/** With a value for each column, for the odd ones more than one; named by the property, as `casing` spells it. */
const kinds = {
  bigSerial53: [bigserial({ mode: "number" }), "1"],
  big53: [bigint({ mode: "number" }), "-9007199254740991"],
  serialOne: [serial(), "7"],
  smallSerial: [smallserial(), "8"],
  realOne: [real(), "0.1"],
  realOdd: [real(), "'NaN'"],
  doubleOdd: [doublePrecision(), "'-Infinity'"],
  numericText: [numeric(), "'NaN'"],
  numericNumber: [numeric({ mode: "number" }), "12.5"],
  numericBig: [numeric({ mode: "bigint" }), "12345678901234567890"],
  charFive: [char({ length: 5 }), "'ab'"],
  varcharOne: [varchar({ length: 20 }), "'it''s'"],
  timeOne: [time({ precision: 3 }), "'24:00:00'"],
  timeZoned: [time({ withTimezone: true }), "'23:59:59.5+02'"],
  intervalOne: [interval(), "'1 year -2 mons +3 days -04:05:06.007'"],
  intervalZero: [interval(), "'0'"],
  intervalOfDays: [interval({ fields: "day" }), "'-1 day'"],
  intervalToSecond: [interval({ fields: "day to second", precision: 3 }), "'1 day -00:00:00.5'"],
  intervals: [interval().array(), "'{1 mon -1 days +100:00:00}'"],
  stampAncient: [timestamp({ mode: "string" }), "'0044-03-15 12:00:00 BC'"],
  stampLate: [timestamp({ mode: "string", withTimezone: true }), "'12024-03-15 12:00:00.25+00'"],
  stamps: [timestamp({ withTimezone: true }).array(), "'{2024-02-29 18:29:59+00}'"],
  dayAncient: [date(), "'0001-01-01 BC'"],
  dayNever: [date({ mode: "date" }), "'infinity'"],
  days: [date().array(), "'{2024-02-29,12024-02-29}'"],
  inetOne: [inet(), "'10.0.0.1/8'"],
  cidrOne: [cidr(), "'10.0.0.0/8'"],
  macOne: [macaddr(), "'08:00:2b:01:02:03'"],
  macEight: [macaddr8(), "'08:00:2b:01:02:03:04:05'"],
  lineTuple: [line(), "'{1,2.5,3}'"],
  lineObject: [line({ mode: "abc" }), "'{1,2.5,3}'"],
  points: [point().array(), '\'{"(1,2)","(3,4.5)"}\''],
  jsonText: [json(), `'"5"'`],
  jsonbText: [jsonb(), `'"word"'`],
  jsons: [jsonb().array(), `'{"{\\"a\\": [1]}"}'`],
  uuids: [uuid().array(), "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"],
  moods: [mood().array(), "'{sad,happy}'"],
  booleans: [boolean().array(), "'{t,f}'"],
  wholes: [integer().array(), "'{1,2}'"],
  bytesList: [bytes().array(), "'{\"\\\\xdead\"}'"],
  bits: [bit({ dimensions: 3 }), "'101'"],
  rangeWhole: [custom("int4range"), "'[1,5)'"],
  rangeOpen: [custom("numrange"), "'(,1.50]'"],
  rangeEmpty: [custom("int8range"), "'empty'"],
  rangeDays: [custom("daterange"), "'[2024-01-01,infinity)'"],
  rangeZoned: [custom("tstzrange"), "'[2024-01-01 00:00:00+00,)'"],
  rangeLocal: [custom("tsrange"), "'[2024-01-01 00:00:00,2024-01-02 00:00:00.5)'"],
  rangesWhole: [custom("int4multirange"), "'{[1,3),[7,9)}'"],
  customText: [custom("text"), "'x'"],
  customFloat: [custom("double precision"), "'Infinity'"],
  customStamp: [custom("timestamptz"), "'2024-01-01 00:00:00.25+00'"],
  customInterval: [custom("interval"), "'1 day 02:00:00'"],
  customPoint: [custom("point"), "'(1,2)'"],
  customCircle: [custom("circle"), "'<(1,2),3.5>'"],
  customJson: [custom("jsonb"), `'{"a": [1, "x"]}'`],
  customMoney: [custom("money"), "'12.50'"],
  customWholes: [custom("int4[]"), "'{1,2}'"],
  customWholesNested: [custom("int4[][]"), "'{{1,2},{3,NULL}}'"],
  customFloats: [custom("float8[]"), "'{1.5,NaN}'"],
  customTexts: [custom("text[]"), `'{a,NULL,"b c"}'`],
  customVarchars: [custom("varchar(5)[]"), "'{a}'"],
  customBigs: [custom("int8[]"), "'{9007199254740993}'"],
  customBooleans: [custom("bool[]"), "'{t}'"],
  customJsons: [custom("jsonb[]"), `'{"{\\"a\\": 1}"}'`],
  customUuids: [custom("uuid[]"), "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"],
  customBytes: [custom("bytea[]"), `'{"\\\\x01"}'`],
  customPoints: [custom("point[]"), `'{"(1,2)"}'`],
  customTimes: [custom("time[]"), "'{10:00}'"],
  customTimesZoned: [custom("timetz[]"), "'{10:00+02}'"],
  customInets: [custom("inet[]"), "'{10.0.0.1,10.0.0.0/8}'"],
  customCidrs: [custom("cidr[]"), "'{10.0.0.0/8}'"],
  customMacs: [custom("macaddr[]"), "'{08:00:2b:01:02:03}'"],
  customMonies: [custom("money[]"), "'{1.50}'"],
  customNumericRanges: [custom("numrange[]"), `'{"[1.5,2)"}'`],
  customMoods: [custom("mood[]"), "'{sad,NULL,happy}'"],
  customMoodsNested: [custom("mood[][]"), "'{{sad},{happy}}'"],
  customNumbers: [custom("numeric(10,2)[]"), "'{1.5,NaN}'"],
  customStamps: [custom("timestamptz[]"), "'{2024-01-01 00:00:00+00,infinity}'"],
  customDays: [custom("date[]"), `'{2024-01-01,"0044-03-15 BC"}'`],
  customIntervals: [custom("interval[]"), "'{1 day 02:00:00,0}'"],
  customRanges: [custom("int4range[]"), `'{"[1,2)",empty}'`],
  customBoxes: [custom("box[]"), "'{(1,1),(0,0);(3,3),(2,2)}'"],
  customLines: [custom("line[]"), `'{"{1,2,3}"}'`],
  customOdd: [custom("odd[]"), `'{"","NULL","a\\\\b","say \\"x\\"","{y}",plain}'`],
} satisfies Readonly<Record<string, readonly [PgColumnBuilderBase, string]>>;
type Kinds = typeof kinds;
const builders = Object.fromEntries(Object.entries(kinds).map(([name, [builder]]) => [name, builder])) as {
  [Name in keyof Kinds]: Kinds[Name][0];
};
const everyKind = pgTable("every_kind", builders);

describe.skipIf(missing("postgres"))("fromDrizzle", () => {
  const fixture = postgresFixture(TABLES);
  const decoded = (reading: Reading, trigger: Trigger): ChangeEvent[] =>
    reading.events.flatMap((message) => {
      const lines: Record<string, string> = { ...headers(message), "Cdc-Pos": message.position };
      const event = trigger.decode({ ...message, header: (name) => lines[name], sequence: 1 });
      return event === undefined ? [] : (event as ChangeEvent);
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

  test.each(["snake_case", undefined] as const)(
    "gives a value of each kind of column as drizzle's own query does, casing %s",
    async (casing) => {
      const client = await fixture.database.connect();
      onTestFinished(() => client.end());
      await client.query("set timezone = 'UTC'");
      const db = drizzle(client, casing === undefined ? {} : { casing });
      const spelled = (name: string) =>
        casing ? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name;
      const columns = Object.entries(getTableColumns(everyKind)).map(
        ([name, column]) => `"${spelled(name)}" ${column.getSQLType()}`,
      );
      await client.query(`drop table if exists every_kind; create table every_kind(${columns.join(", ")});
      alter table every_kind replica identity full`);
      const { reading } = await fixture.begin();
      await client.query(
        `insert into every_kind values (${Object.values(kinds)
          .map(([, value]) => value)
          .join(", ")})`,
      );
      const rows = await db.select().from(everyKind);
      await reading.rows(1);

      const [created] = decoded(reading, fromDrizzle("shop", everyKind).created());
      expect(created?.after).toEqual(rows[0]);
      await reading.stop();
    },
  );

  test("is typed by the table, and knows its schema", () => {
    const trigger = fromDrizzle("shop", everything).created();
    type Row = typeof everything.$inferSelect;
    expectTypeOf(trigger).toEqualTypeOf<ChangeTrigger<CreatedEvent<Row, Readonly<Pick<Row, "orderId">>>>>();
    const keyless = pgTable("log", { line: text() });
    type Line = Readonly<Partial<typeof keyless.$inferSelect>> | null;
    expectTypeOf(fromDrizzle("shop", keyless).deleted()).toEqualTypeOf<
      ChangeTrigger<DeletedEvent<typeof keyless.$inferSelect, Line>>
    >();
    expect(fromDrizzle("shop", accounts).deleted().filter).toBe("cdc.shop.sales.account.deleted.*");
  });

  test("refuses what is no table, and a value that is not what was declared", () => {
    expect(() => fromDrizzle("shop", {} as typeof accounts)).toThrow("no drizzle table");
    const wrong = pgTable("account", { accountId: bigint("account_id", { mode: "bigint" }) });
    const event = { op: "created", key: null, before: null, after: { account_id: "***" } };
    const data = Buffer.from(JSON.stringify(event));
    const message = {
      subject: "cdc.shop.public.account.created.p00",
      header: (name: string) => (name === "ce-specversion" ? "1.0" : "1"),
      data,
      sequence: 1,
    };
    expect(() => fromDrizzle("shop", wrong).created().decode(message)).toThrow("the column account_id holds no");
  });
});
