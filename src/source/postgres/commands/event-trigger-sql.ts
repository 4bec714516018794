// The SQL of event triggers that tell of DDL in the log itself: opt-in, run by a superuser, for who wants more than the
// schema events that precede the next change of a table.

import { DDL_PREFIX } from "../decode/logical-messages.ts";

const MAY_TELL = [
  "  IF EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = 'pg_logical_emit_message'",
  "      AND NOT has_function_privilege(oid, 'EXECUTE')) THEN",
  "    RAISE WARNING 'millrace: DDL is not told of, for % may not execute pg_logical_emit_message', current_user;",
  "    RETURN;",
  "  END IF;",
];

/**
 * Each command's tag and the objects it made, changed or dropped, in its transaction; never its text, which may hold values.
 * Told with the owner's rights, for whoever runs DDL may lack the one to emit messages; where the owner lacks it too, a
 * warning says so, and the application's own command goes on. An exception is not caught, for that takes a subtransaction, and
 * Postgres may hand out a subtransaction's message behind the change that follows it.
 */
export function eventTriggerSql(): readonly string[] {
  return [
    "-- what they tell is on meta.<source>.message.millrace~2Eddl",
    "CREATE SCHEMA IF NOT EXISTS millrace;",
    "CREATE OR REPLACE FUNCTION millrace.tell_ddl() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$",
    "BEGIN",
    ...MAY_TELL,
    `  PERFORM pg_logical_emit_message(true, '${DDL_PREFIX}', json_build_object('command', command_tag,`,
    "      'type', object_type, 'object', object_identity, 'id', objid::int8::text)::text)",
    "    FROM pg_event_trigger_ddl_commands() WHERE schema_name IS DISTINCT FROM 'pg_temp';",
    "END $$;",
    "CREATE OR REPLACE FUNCTION millrace.tell_drop() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$",
    "BEGIN",
    ...MAY_TELL,
    `  PERFORM pg_logical_emit_message(true, '${DDL_PREFIX}', json_build_object('command', tg_tag,`,
    "      'type', object_type, 'object', object_identity, 'id', objid::int8::text, 'dropped', true)::text)",
    "    FROM pg_event_trigger_dropped_objects()",
    "    WHERE object_type IN ('table', 'table column') AND NOT is_temporary;",
    "END $$;",
    "DROP EVENT TRIGGER IF EXISTS millrace_ddl;",
    "CREATE EVENT TRIGGER millrace_ddl ON ddl_command_end",
    "  WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'ALTER TYPE')",
    "  EXECUTE FUNCTION millrace.tell_ddl();",
    "DROP EVENT TRIGGER IF EXISTS millrace_drop;",
    "CREATE EVENT TRIGGER millrace_drop ON sql_drop EXECUTE FUNCTION millrace.tell_drop();",
  ];
}
