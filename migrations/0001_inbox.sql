-- The inbox: which events an automation has handled, with their effect in the same transaction. Two that run this at once
-- take turns.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('millrace migrations'));
--> statement-breakpoint
SET LOCAL search_path = pg_catalog, pg_temp;
--> statement-breakpoint
CREATE SCHEMA IF NOT EXISTS "millrace";
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS "millrace"."inbox" (
	"automation" text NOT NULL,
	"event_id" text NOT NULL,
	"run" text DEFAULT '' NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "inbox_automation_event_id_run_pk" PRIMARY KEY("automation","event_id","run")
);
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "inbox_at" ON "millrace"."inbox" USING brin ("at");
