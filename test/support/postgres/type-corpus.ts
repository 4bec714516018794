// Every type with the values at its edges, as SQL literals, and by which rule they become JSON.

import {
  asArray,
  asBase,
  asBase64,
  asDate,
  asFloat,
  asIs,
  asJson,
  asMultirange,
  asObject,
  asOid,
  asRange,
  asRow,
  asText,
  asTimestamp,
  asTimestamptz,
  type Rule,
} from "../check/type-rules.ts";

export interface CorpusType {
  readonly type: string;
  readonly rule: Rule;
  /** Texts as the type reads them. */
  readonly values: readonly string[];
  /** The oldest server that has them, as `server_version_num`. */
  readonly since?: number;
  /** Whether it may be a primary key. */
  readonly key?: true;
}

/** What the types below are made of. */
export const CORPUS_TYPES = `
  create extension hstore; create extension citext; create extension ltree;
  create type mood as enum ('happy', 'it''s "complicated", \\ ok', 'übel');
  create domain positive as int check (value > 0);
  create domain positives as positive[];
  create domain moods as mood[];
  create type pair as ("first one" int, b text);
  create type nested as (p pair, many pair[], j jsonb, at timestamptz, span tstzrange, raw bytea, yes boolean, f float8, m mood);
  create type lonely as (v text);
  create domain pairs as pair;
  create type mixed as (d positive, ds positive[], h hstore, m int4multirange, p pairs);
  create type span as range (subtype = text, multirange_type_name = spans);
  create sequence pointed_at;`;

const pair = asRow({ "first one": asIs, b: asText });
const nested = asRow({
  p: pair,
  many: asArray(pair),
  j: asJson,
  at: asTimestamptz,
  span: asRange(asTimestamptz),
  raw: asBase64,
  yes: asIs,
  f: asFloat,
  m: asText,
});

const mixed = asRow({
  d: asIs,
  ds: asArray(asIs),
  h: asObject,
  m: asMultirange(asIs),
  p: asBase("pair", pair),
});

const key = true;
const times = [
  "2024-02-29 18:29:59.123456",
  "2024-02-29 18:29:59.1",
  "1999-12-31 23:59:59.999999",
  "0001-01-01 00:00:00",
  "0001-12-31 00:00:00 BC",
  "4713-01-01 00:00:00 BC",
  "9999-12-31 23:59:59",
  "10000-01-01 00:00:00.000001",
  "294276-12-31 23:59:59.999999",
  "infinity",
  "-infinity",
];
const days = ["2024-02-29", "0001-01-01", "0001-12-31 BC", "4713-01-01 BC", "5874897-12-31", "infinity", "-infinity"];
const texts = [
  "",
  " ",
  "plain",
  "'\"\\/",
  "\t\r\n\b\f\u0001\u001f\u007f",
  "null",
  "é ☃ 𝄞 \u2028 e\u0301",
  "{}",
  "(,)",
  "a,b",
];
const integers = ["0", "-1", "2147483647", "-2147483648"];

export const CORPUS: readonly CorpusType[] = [
  { type: "smallint", rule: asIs, values: ["0", "32767", "-32768"], key },
  { type: "integer", rule: asIs, values: integers, key },
  {
    type: "bigint",
    rule: asText,
    values: ["0", "9007199254740993", "9223372036854775807", "-9223372036854775808"],
    key,
  },
  { type: "oid", rule: asOid, values: ["0", "4294967295"] },
  {
    type: "numeric",
    rule: asText,
    values: [
      "0",
      "-0.00",
      "1.50",
      "0.00000000000000000001",
      `${"9".repeat(60)}.${"9".repeat(40)}`,
      "NaN",
      "Infinity",
      "-Infinity",
    ],
    key,
  },
  { type: "numeric(6,2)", rule: asText, values: ["-1234.5", "NaN"] },
  { type: "real", rule: asFloat, values: ["0", "-0", "0.1", "3.4028235e38", "1e-45", "NaN", "Infinity", "-Infinity"] },
  {
    type: "double precision",
    rule: asFloat,
    values: [
      "0",
      "-0",
      "0.1",
      "0.30000000000000004",
      "1e300",
      "5e-324",
      "123456789012345680",
      "NaN",
      "Infinity",
      "-Infinity",
    ],
    key,
  },
  { type: "boolean", rule: asIs, values: ["t", "f"], key },
  { type: "text", rule: asText, values: texts, key },
  { type: "varchar(20)", rule: asText, values: ["", "x"] },
  { type: "character(5)", rule: (value) => `to_json(rpad(${value}, 5))`, values: ["", "ab"] },
  { type: "name", rule: asText, values: ['a"b'] },
  { type: '"char"', rule: asText, values: ["x", ""] },
  { type: "citext", rule: asText, values: ["MiXed"], key },
  { type: "uuid", rule: asText, values: ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], key },
  { type: "bytea", rule: asBase64, values: ["\\x", "\\x00", "\\xdeadbeef", "\\x5c5c22", "\\xfffefdfcfb"], key },
  {
    type: "json",
    rule: asJson,
    values: [
      '{"a":  1e400, "b": 12345678901234567890.10, "a": "twice"}',
      "[1 ,\n2]",
      '"\\u0000 \\ud834\\udd1e \\/"',
      "null",
      " -0 ",
      "[".repeat(500) + "]".repeat(500),
    ],
  },
  {
    type: "jsonb",
    rule: asJson,
    values: ['{"b": 1e400, "a": 0.1000, "b": 123456789012345678901234567890}', "[]", '"x"', "null", '{"": {"": []}}'],
    key,
  },
  { type: "timestamp", rule: asTimestamp, values: times, key },
  {
    type: "timestamptz",
    rule: asTimestamptz,
    values: times.map((time) => time.replace(/(\d)( BC)?$/, "$1+00$2")),
    key,
  },
  { type: "timestamp(0)", rule: asTimestamp, values: ["2024-02-29 18:29:59.6"] },
  { type: "date", rule: asDate, values: days, key },
  { type: "time", rule: asText, values: ["00:00:00", "24:00:00", "23:59:59.999999"], key },
  { type: "timetz", rule: asText, values: ["24:00:00+00", "12:00:00.5+05:30", "00:00:00-15:59:59"] },
  {
    type: "interval",
    rule: asText,
    values: ["0", "1 day 2 hours", "-1 year 2 mons -3 days +04:05:06.000007", "178000000 years", "-00:00:00.5"],
    key,
  },
  { type: "interval", rule: asText, values: ["infinity", "-infinity"], since: 170_000 },
  { type: "mood", rule: asText, values: ["happy", 'it\'s "complicated", \\ ok', "übel"], key },
  { type: "positive", rule: asIs, values: ["1"], key },
  { type: "positives", rule: asBase("int[]", asArray(asIs)), values: ["{1,NULL}", "{}"], key },
  {
    type: "moods",
    rule: asBase("text[]", asArray(asText)),
    values: ['{happy,NULL,"it\'s \\"complicated\\", \\\\ ok"}'],
  },
  {
    type: "integer[]",
    rule: asArray(asIs),
    values: ["{}", "{1}", "{1,NULL,-3}", "{{1,2},{3,NULL}}", "[-1:0]={7,8}", "[0:0][2:3]={{1,2}}", "{{{1}},{{2}}}"],
    key,
  },
  {
    type: "text[]",
    rule: asArray(asText),
    values: ['{NULL,"NULL",null,"",plain}', '{"a\\"b","c\\\\d","{e}","f,g"," "}', '{{"é☃𝄞","\n\t"},{"a","b"}}'],
    key,
  },
  { type: "bigint[]", rule: asArray(asText), values: ["{9223372036854775807,-1}"] },
  { type: "numeric[]", rule: asArray(asText), values: ["{NaN,1.50,NULL}"] },
  { type: "double precision[]", rule: asArray(asFloat), values: ["{NaN,-0,1e300,Infinity}"] },
  { type: "boolean[]", rule: asArray(asIs), values: ["{t,f,NULL}", `{${"t,".repeat(3000)}f}`] },
  { type: "bytea[]", rule: asArray(asBase64), values: ['{"\\\\x","\\\\xdeadbeef",NULL}'] },
  {
    type: "jsonb[]",
    rule: asArray(asJson),
    values: ['{"{\\"a\\": 1e400, \\"q\\": \\"\\\\\\"\\"}",NULL,"[1, 2]","null"}'],
  },
  {
    type: "timestamptz[]",
    rule: asArray(asTimestamptz),
    values: ['{"2024-02-29 18:29:59.5+00","0044-03-15 12:00:00+00 BC",infinity}'],
  },
  { type: "date[]", rule: asArray(asDate), values: ['{2024-02-29,"0044-03-15 BC",infinity}'] },
  { type: "interval[]", rule: asArray(asText), values: ['{"1 day"}'] },
  { type: "uuid[]", rule: asArray(asText), values: ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}"] },
  { type: "mood[]", rule: asArray(asText), values: ['{happy,"it\'s \\"complicated\\", \\\\ ok"}'] },
  { type: "positive[]", rule: asArray(asIs), values: ["{1,NULL,7}", "{{1},{2}}"] },
  { type: "money[]", rule: asArray(asText), values: ['{"1,234.56",NULL,-0.01}'] },
  { type: "inet[]", rule: asArray(asIs), values: ["{192.168.0.1/24,::1,NULL}"] },
  { type: "numeric(6,2)[]", rule: asArray(asText), values: ["{1.5,NULL,-0.01,NaN}"] },
  { type: "box[]", rule: asArray(asText), values: ["{(1,1),(0,0);(2,2),(1,1)}"] },
  { type: "point[]", rule: asArray(asText), values: ['{"(1,2)","(3,4)"}'] },
  { type: "int4range", rule: asRange(asIs), values: ["[1,5)", "(,5)", "[1,)", "(,)", "empty"], key },
  { type: "int8range", rule: asRange(asText), values: ["[9007199254740993,9223372036854775807)"] },
  { type: "numrange", rule: asRange(asText), values: ["(0.50,NaN]"] },
  {
    type: "tsrange",
    rule: asRange(asTimestamp),
    values: ['["0044-03-15 12:00:00 BC","294276-12-31 23:59:59.999999"]', "(-infinity,infinity)"],
  },
  { type: "tstzrange", rule: asRange(asTimestamptz), values: ['["2024-01-01 00:00:00.5+00",)'] },
  { type: "daterange", rule: asRange(asDate), values: ["[2024-01-01,2024-03-01)", "[2024-01-01,infinity)"] },
  { type: "span", rule: asRange(asText), values: ['["",""]', '["a,\\"b\\\\","c]d"]', "(,z)"] },
  { type: "int4range[]", rule: asArray(asRange(asIs)), values: ['{"[1,5)",empty,NULL}'] },
  { type: "int4multirange", rule: asMultirange(asIs), values: ["{}", "{[1,3),[5,7)}", "{(,1),[9,)}"] },
  { type: "int8multirange", rule: asMultirange(asText), values: ["{[9007199254740993,9223372036854775807)}"] },
  { type: "nummultirange", rule: asMultirange(asText), values: ["{(0.50,1.5],[7,NaN]}"] },
  { type: "datemultirange", rule: asMultirange(asDate), values: ["{[2024-01-01,2024-03-01),[2025-01-01,infinity)}"] },
  { type: "tstzmultirange", rule: asMultirange(asTimestamptz), values: ["{[2024-01-01,2024-01-02),[2025-01-01,)}"] },
  { type: "spans", rule: asMultirange(asText), values: ['{["a,}{","b"],[x,)}'] },
  { type: "pair", rule: pair, values: ["(1,x)", "(,)", '(,"")', '(-1,"a ""q"" \\\\ (b), {c}")', '(1," ")'], key },
  { type: "pairs", rule: asBase("pair", pair), values: ["(1,x)"] },
  { type: "lonely", rule: asRow({ v: asText }), values: ["()", '("")', "(null)", '("()")'] },
  { type: "pair[]", rule: asArray(pair), values: ['{"(1,x)",NULL,"(,\\"a \\\\\\"q\\\\\\"\\")"}', "{}"] },
  {
    type: "nested",
    rule: nested,
    values: [
      "(,,,,,,,,)",
      `("(1,""a """"b"""" \\\\\\\\"")","{""(2,\\\\""x, y\\\\"")"",NULL}","{""a"": [1e3, ""\\\\""""]}","2024-02-29 18:29:59.5+00","[""2024-01-01 00:00:00+00"",infinity)","\\\\xdead",t,NaN,"it's ""complicated"", \\\\ ok")`,
      "(,{},null,-infinity,empty,\\\\x,f,-0,happy)",
    ],
  },
  {
    type: "mixed",
    rule: mixed,
    values: [
      String.raw`(1,"{1,2,NULL}","""a b""=>""1,\\""2\\\\"", c=>NULL","{[1,3),[5,)}","(1,""x, y"")")`,
      "(,,,,)",
      '(,{},"",{},"(,)")',
    ],
  },
  { type: "hstore", rule: asObject, values: ["", 'a=>1, "b c"=>"x\\"\\\\y", d=>NULL, ""=>"NULL"'] },
  { type: "hstore[]", rule: asArray(asObject), values: ['{"\\"a\\"=>\\"1\\"",NULL}'] },
  { type: "money", rule: asText, values: ["1234.56", "-0.01"] },
  { type: "inet", rule: asIs, values: ["192.168.0.1/24", "::1"], key },
  { type: "cidr", rule: asText, values: ["10.0.0.0/8"] },
  { type: "macaddr", rule: asText, values: ["08:00:2b:01:02:03"] },
  { type: "macaddr8", rule: asText, values: ["08:00:2b:01:02:03:04:05"] },
  { type: "bit(3)", rule: asText, values: ["101"], key },
  { type: "bit varying", rule: asText, values: ["", "0".repeat(70)] },
  { type: "xml", rule: asText, values: ['<a b="c">\n&amp;</a>'] },
  { type: "tsvector", rule: asText, values: ["'a':1A 'it''s':2"] },
  { type: "tsquery", rule: asText, values: ["'a' & !'b'"] },
  { type: "jsonpath", rule: asText, values: ['$."a"[*] ? (@ > 1)'] },
  { type: "pg_lsn", rule: asText, values: ["FF/1"] },
  { type: "ltree", rule: asText, values: ["a.b.c"], key },
  { type: "point", rule: asText, values: ["(1,-0.5)"] },
  { type: "line", rule: asText, values: ["{1,2,3}"] },
  { type: "lseg", rule: asText, values: ["[(1,2),(3,4)]"] },
  { type: "box", rule: asText, values: ["(1,1),(0,0)"] },
  { type: "path", rule: asText, values: ["((1,2),(3,4))", "[(1,2)]"] },
  { type: "polygon", rule: asText, values: ["((1,2),(3,4))"] },
  { type: "circle", rule: asText, values: ["<(1,2),3>"] },
  { type: "int2vector", rule: asText, values: ["1 2 3"] },
  { type: "regclass", rule: asText, values: ["pg_class"] },
  { type: "regclass", rule: (value) => `to_json('public.' || (${value})::text)`, values: ["pointed_at"] },
];
