-- The functions of the outbox. Each looks into pg_catalog alone, whatever the search_path of who calls it: in another schema
-- anybody might have put a function or an operator that then ran with the caller's rights.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('millrace migrations'));
--> statement-breakpoint
SET LOCAL search_path = pg_catalog, pg_temp;
--> statement-breakpoint
-- What cannot travel fails the transaction that writes it. The bus' limit is the setting millrace.max_payload, in bytes;
-- header lines count threefold, for that is what percent-encoding may make of them. Key and headers have a limit of their
-- own, as they travel: nats-server takes 64 KiB of header lines, and what caused the transaction travels there too.
CREATE OR REPLACE FUNCTION "millrace"."check_event"(aggregatetype text, aggregateid text, type text, payload jsonb, headers jsonb)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	most int := coalesce(nullif(current_setting('millrace.max_payload', true), '')::int, 1048576);
	most_head CONSTANT int := 32768;
	head int;
	size int;
	fault text;
BEGIN
	fault := CASE
		WHEN coalesce(aggregatetype, '') = '' OR coalesce(type, '') = '' THEN 'its type is no "<aggregate>.<name>"'
		WHEN strpos(aggregatetype, '.') > 0 THEN 'its aggregate has a dot'
		WHEN octet_length(aggregatetype) > 200 OR octet_length(type) > 200 THEN 'aggregate or name is longer than 200 bytes'
		WHEN aggregateid IS NULL THEN 'it has no key'
		WHEN jsonb_typeof(headers) IS DISTINCT FROM 'object' THEN 'its headers are no object'
	END;
	IF fault IS NULL AND headers <> '{}' THEN
		SELECT CASE
			WHEN bool_or(jsonb_typeof(h.value) <> 'string') THEN 'a header''s value is no text'
			WHEN NOT bool_and(h.key ~ '^[A-Za-z0-9_-]{1,100}$') THEN 'a header''s name is not made of up to 100 letters, digits, _ and -'
			WHEN bool_or(h.key ~* '^(ce-|cdc-|nats-|millrace-|content-type$)')
				THEN 'a header''s name begins with ce-, Cdc-, Nats- or Millrace-, or is content-type'
		END INTO fault FROM jsonb_each(headers) h;
	END IF;
	IF fault IS NOT NULL THEN
		RAISE EXCEPTION 'OUTBOX_EVENT_INVALID: this cannot be an event: %', fault USING ERRCODE = 'check_violation';
	END IF;
	-- As percentEncode() of docs/wire.md has it; each header line has four bytes more.
	SELECT coalesce(sum(octet_length(convert_to(part, 'UTF8')) + 2 * octet_length(convert_to(regexp_replace(part, '[!#$&-~]+', '', 'g'), 'UTF8'))), 0)
		INTO head FROM (SELECT aggregateid UNION ALL SELECT h.key || h.value || '::::' FROM jsonb_each_text(headers) h) parts(part);
	IF head > most_head THEN
		RAISE EXCEPTION 'OUTBOX_EVENT_TOO_LARGE: key and headers of the event %.% need % bytes, and % may travel', aggregatetype, type, head, most_head
			USING ERRCODE = 'program_limit_exceeded', HINT = 'Put what is long into the event''s data.';
	END IF;
	size := octet_length(convert_to(payload::text, 'UTF8')) + 1024
		+ 3 * octet_length(convert_to(headers::text || aggregatetype || aggregateid || type, 'UTF8'));
	IF size > most THEN
		RAISE EXCEPTION 'OUTBOX_EVENT_TOO_LARGE: the event %.% needs % bytes, and the bus takes %', aggregatetype, type, size, most
			USING ERRCODE = 'program_limit_exceeded',
			HINT = 'Put a reference to the large part into the event; or raise max_payload of nats-server, and then millrace.max_payload: ALTER DATABASE ... SET millrace.max_payload = ...';
	END IF;
END
$$;
--> statement-breakpoint
CREATE OR REPLACE FUNCTION "millrace"."check_outbox"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	PERFORM millrace.check_event(NEW.aggregatetype, NEW.aggregateid, NEW.type, NEW.payload, NEW.headers);
	RETURN NEW;
END
$$;
--> statement-breakpoint
CREATE OR REPLACE TRIGGER "check_outbox" BEFORE INSERT ON "millrace"."outbox" FOR EACH ROW EXECUTE FUNCTION "millrace"."check_outbox"();
--> statement-breakpoint
-- Writes an event in this transaction. The setting millrace.outbox says how: "delete" (the default: a row that is gone again
-- at once, for its insert is in the log), "keep" (the row stays until the worker's clean-up), or "message" (no row at all).
CREATE OR REPLACE FUNCTION "millrace"."emit"(type text, key text, data jsonb, headers jsonb DEFAULT '{}', id uuid DEFAULT gen_random_uuid())
RETURNS uuid LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	aggregate text := split_part(emit.type, '.', 1);
	name text := substr(emit.type, length(aggregate) + 2);
	body jsonb := coalesce(emit.data, 'null');
	event_id uuid := coalesce(emit.id, gen_random_uuid());
	mode text := coalesce(nullif(current_setting('millrace.outbox', true), ''), 'delete');
BEGIN
	IF mode = 'message' THEN
		PERFORM millrace.check_event(aggregate, emit.key, name, body, emit.headers);
		PERFORM pg_logical_emit_message(true, 'millrace.outbox', convert_to(jsonb_build_object(
			'id', event_id, 'aggregatetype', aggregate, 'aggregateid', emit.key, 'type', name, 'payload', body, 'headers', emit.headers
		)::text, 'UTF8'));
	ELSIF mode IN ('delete', 'keep') THEN
		INSERT INTO millrace.outbox (id, aggregatetype, aggregateid, type, payload, headers)
			VALUES (event_id, aggregate, emit.key, name, body, emit.headers);
		IF mode = 'delete' THEN
			DELETE FROM millrace.outbox o WHERE o.id = event_id;
			IF NOT FOUND THEN
				RAISE WARNING 'OUTBOX_ROWS_STAY: row level security hides the event''s row from who wrote it, so it stays in millrace.outbox'
					USING HINT = 'millrace check prints the policy that lets writers delete their rows.';
			END IF;
		END IF;
	ELSE
		RAISE EXCEPTION 'OUTBOX_MODE_UNKNOWN: the setting millrace.outbox is %, not delete, keep or message', quote_literal(mode)
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	RETURN event_id;
END
$$;
--> statement-breakpoint
-- Whoever owns any of this may replace it, and it runs with the rights of all who emit.
DO $$
DECLARE
	owners text;
BEGIN
	SELECT string_agg(DISTINCT quote_ident(r.rolname), ', ') INTO owners
		FROM (
			SELECT nspowner FROM pg_namespace WHERE nspname = 'millrace'
			UNION SELECT relowner FROM pg_class
				WHERE relnamespace = 'millrace'::regnamespace AND relname IN ('outbox', 'inbox') AND relkind IN ('r', 'p')
			UNION SELECT proowner FROM pg_proc WHERE pronamespace = 'millrace'::regnamespace
		) o (owner)
		JOIN pg_roles r ON r.oid = o.owner
		JOIN pg_database d ON d.datname = current_database()
		WHERE NOT r.rolsuper AND r.oid <> d.datdba AND r.rolname <> current_user;
	IF owners IS NOT NULL THEN
		RAISE WARNING 'OUTBOX_OWNER: a part of the schema millrace is owned by %, who may replace what runs with the rights of all who emit', owners
			USING HINT = 'millrace check names it, and prints the SQL that gives it to the owner of the database.';
	END IF;
END
$$;
