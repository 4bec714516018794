// An attacker's functions and operators, named as all of pg_catalog's are, where the victim's search_path finds them first.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Database } from "../servers.ts";

/** What a caller means as often as what is declared: overloads that fit better than pg_catalog's own. */
const VARIANTS = `array[array['name', 'text'], array['bytea', 'text'], array['"any"', 'text'], array['anyelement', 'text'],
  array['anyelement', 'integer'], array['anyelement', 'oid'], array['anyarray', 'text[]'], array['anyarray', 'oid[]'],
  array['bigint', 'integer'], array['integer', 'bigint'], array['regclass', 'oid']]`;
const OPERATORS = `array['=', '<>', '<', '>', '<=', '>=', '||', '+', '-', '*', '/', '~', '~*', '!~', '->>', '->', '&&', '@>']`;
const PAIRED = `array['text', 'name', 'oid', 'smallint', 'integer', 'bigint', 'regclass', '"char"', 'xid']`;

const sql = (names: readonly string[]): string => `
  set check_function_bodies = off; set client_min_messages = error; set search_path = pg_catalog;
  create schema attacker; create sequence attacker.runs;
  do $do$
  declare
    f record; args text; v int; l text; variants text[][] := ${VARIANTS};
    body constant text := $body$ begin
      begin perform pg_catalog.nextval('attacker.runs'::pg_catalog.regclass); exception when others then null; end;
      raise exception 'SHADOW % ran', %L;
    end $body$;
  begin
    for f in select p.proname, p.provariadic, t.typname as result, p.proretset,
        array_to_string(array(select format_type(a, null) from unnest(p.proargtypes) with ordinality u (a, n) order by n), ', ') as args
      from pg_proc p join pg_type t on t.oid = p.prorettype
      where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any ('{${names.join(",")}}'::text[])
        and not (p.proargtypes::oid[] || p.prorettype) && array['internal', 'cstring']::regtype[]::oid[] -- only C can do these
    loop
      for v in 0 .. array_length(variants, 1) loop
        args := case when v = 0 then f.args else replace(f.args, variants[v][1], variants[v][2]) end;
        continue when v > 0 and args = f.args;
        begin
        execute format('create function public.%I(%s) returns %s %I language plpgsql as ', f.proname, replace(args, '"any"', 'text'),
          case when f.proretset then 'setof' end, case when f.result ~ '^any' and args !~ 'any' then 'text' else f.result end)
          || quote_literal(replace(body, '%L', quote_literal(f.proname || '(' || args || ')')));
        exception when duplicate_function then null; -- a variant that is declared, too
        end;
      end loop;
      if f.provariadic = '"any"'::regtype then
        foreach l in array array['name', 'text', 'bigint', 'oid', 'boolean', 'text, text, name', 'oid, text, name'] loop
          begin
          execute format('create function public.%I(text, %s) returns %I language plpgsql as ', f.proname, l, f.result)
            || quote_literal(replace(body, '%L', quote_literal(f.proname || '(text, ' || l || ')')));
          exception when duplicate_function then null;
          end;
        end loop;
      end if;
    end loop;
    for f in select o.oprname as name, format_type(o.oprleft, null) as l, format_type(o.oprright, null) as r, t.typname as result
      from pg_operator o join pg_type t on t.oid = o.oprresult
      where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprleft <> 0 and o.oprname = any (${OPERATORS})
      union select o, a, b, 'bool' from unnest((${OPERATORS})[1:6]) o, unnest(${PAIRED}) a, unnest(${PAIRED}) b
        where not exists (select from pg_operator p where p.oprname = o and format_type(p.oprleft, null) = a and format_type(p.oprright, null) = b)
    loop
      execute format('create or replace function attacker.op_%s(%s, %s) returns %I language plpgsql as ', f.result, f.l, f.r, f.result)
        || quote_literal(replace(body, '%L', quote_literal(f.l || ' ' || f.name || ' ' || f.r)));
      execute format('create operator public.%s (leftarg = %s, rightarg = %s, function = attacker.op_%s)', f.name, f.l, f.r, f.result);
    end loop;
  end $do$`;

/** Whatever stands before a parenthesis in the product's own text: the functions that its SQL names are among them. */
async function namesInSql(): Promise<readonly string[]> {
  const files = await Promise.all(
    ["src", "migrations"].map((root) => readdir(root, { recursive: true, withFileTypes: true })),
  );
  const texts = await Promise.all(
    files
      .flat()
      .flatMap((file) => (/\.(ts|sql)$/.test(file.name) ? [readFile(join(file.parentPath, file.name), "utf8")] : [])),
  );
  return [
    ...new Set(texts.flatMap((text) => [...text.matchAll(/\b([a-z][a-z0-9_]+)\(/g)].map(([, name = ""]) => name))),
  ];
}

/** Installs them; a new session of any role looks into `public` before it looks into pg_catalog. */
export async function installShadows(database: Database): Promise<void> {
  const session = await database.connect();
  const name = new URL(database.url).pathname.slice(1);
  try {
    await session.query(`${sql(await namesInSql())}; alter database "${name}" set search_path = public, pg_catalog`);
  } finally {
    await session.end();
  }
}

/** How often one of them ran. */
export async function shadowRuns(database: Database): Promise<number> {
  const [row] = await database.query<{ runs: number }>(
    "select case when is_called then last_value else 0 end::pg_catalog.int4 as runs from attacker.runs",
  );
  return row?.runs ?? Number.NaN;
}
