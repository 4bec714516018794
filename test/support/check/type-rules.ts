// What a value must become, said in SQL: Postgres' own functions build the JSON, apart from all of our decoding.

/** From a value (an SQL expression) to the expression of the JSON that must be delivered. */
export type Rule = (value: string) => string;

export const asText: Rule = (value) => `to_json((${value})::text)`;
export const asIs: Rule = (value) => `to_json(${value})`;
/** Numbers that to_json puts in quotes. */
export const asOid: Rule = (value) => `to_json((${value})::int8)`;
export const asFloat: Rule = (value) =>
  `case when (${value})::text in ('NaN', 'Infinity', '-Infinity') then ${asText(value)} else to_json(${value}) end`;
export const asBase64: Rule = (value) => `to_json(translate(encode(${value}, 'base64'), E'\\n', ''))`;
export const asJson: Rule = (value) => `(${value})::json`;
export const asObject: Rule = (value) => `hstore_to_json(${value})`;
export const asDate: Rule = (value) => `to_json(iso_day(${value}))`;
export const asTimestamp: Rule = (value) => `to_json(iso_time(${value}))`;
export const asTimestamptz: Rule = (value) =>
  `to_json(iso_time((${value}) at time zone 'UTC') || case when isfinite(${value}) then 'Z' else '' end)`;

/** Functions that the rules call; a date has no end or a year that may need a sign and six digits. */
export const RULE_FUNCTIONS = `
  create function iso_day(d date) returns text language sql as $$
    select case when not isfinite(d) then d::text else (
      select case when y < 0 then '-' when y > 9999 then '+' else '' end
        || lpad(abs(y)::text, greatest(length(abs(y)::text), case when y between 0 and 9999 then 4 else 6 end), '0')
        || '-' || lpad(extract(month from d)::text, 2, '0') || '-' || lpad(extract(day from d)::text, 2, '0')
      from (select case when extract(year from d) < 0 then extract(year from d) + 1 else extract(year from d) end::int) _ (y)
    ) end $$;
  create function iso_time(t timestamp) returns text language sql as $$
    select case when not isfinite(t) then t::text else
      iso_day(t::date) || to_char(t, '"T"HH24:MI:SS') || rtrim(rtrim(to_char(t, '.US'), '0'), '.') end $$;`;

let variables = 0;

/** Up to three dimensions, whatever their bounds. */
export function asArray(element: Rule): Rule {
  return (value) => {
    const levels = [1, 2, 3].map((depth) => `when ${depth} then ${level(value, `(${value})`, 1, depth, element)}`);
    return `case when (${value}) is not null then case coalesce(array_ndims(${value}), 0) when 0 then '[]'::json ${levels.join(" ")} end end`;
  };
}

function level(array: string, at: string, dimension: number, depth: number, element: Rule): string {
  const index = `i${++variables}`;
  const inner = `${at}[${index}]`;
  const part = dimension === depth ? element(inner) : level(array, inner, dimension + 1, depth, element);
  return `(select json_agg(${part} order by ${index}) from generate_subscripts(${array}, ${dimension}) ${index})`;
}

export function asRange(subtype: Rule): Rule {
  return (
    value,
  ) => `case when (${value}) is null then null when isempty(${value}) then '{"empty":true}'::json else json_build_object(
    'lower', ${subtype(`lower(${value})`)}, 'upper', ${subtype(`upper(${value})`)}, 'bounds',
    case when lower_inc(${value}) then '[' else '(' end || case when upper_inc(${value}) then ']' else ')' end) end`;
}

export function asMultirange(subtype: Rule): Rule {
  return (value) => {
    const range = `r${++variables}`;
    return `case when (${value}) is not null then (
      select coalesce(json_agg(${asRange(subtype)(range)} order by ${range}), '[]') from unnest(${value}) ${range}) end`;
  };
}

/** @param attributes by name */
export function asRow(attributes: Readonly<Record<string, Rule>>): Rule {
  return (value) => {
    const parts = Object.entries(attributes).map(([name, rule]) => `'${name}', ${rule(`(${value})."${name}"`)}`);
    // Not "is null": a row of nulls would be.
    return `case when (${value}) is distinct from null then json_build_object(${parts.join(", ")}) end`;
  };
}

export const asBase =
  (type: string, rule: Rule): Rule =>
  (value) =>
    rule(`(${value})::${type}`);
