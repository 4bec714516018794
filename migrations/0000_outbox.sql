-- The outbox: domain events that commit with the application's own rows. Two that run this at once take turns.
-- Nothing but pg_catalog is looked into, for as long as the transaction lasts.
SET LOCAL search_path = pg_catalog, pg_temp;
--> statement-breakpoint
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('millrace migrations'));
--> statement-breakpoint
CREATE SCHEMA IF NOT EXISTS "millrace";
--> statement-breakpoint
CREATE TABLE IF NOT EXISTS "millrace"."outbox" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"aggregatetype" text NOT NULL,
	"aggregateid" text NOT NULL,
	"type" text NOT NULL,
	"payload" jsonb NOT NULL,
	"headers" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE INDEX IF NOT EXISTS "outbox_created_at" ON "millrace"."outbox" USING brin ("created_at");
