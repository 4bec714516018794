// What a session is set to whose texts become events, or are compared with them.

/** From version 17 on; what the role or the database is set to would end a large transaction's decoding, again and again. */
export const NO_TRANSACTION_TIMEOUT: string =
  "SELECT set_config('transaction_timeout', '0', false) WHERE current_setting('server_version_num')::int >= 170000";

/** Texts must not depend on what a role or a database is set to. */
export const displaySettings: string = `SET datestyle = 'ISO, MDY'; SET intervalstyle = 'iso_8601'; SET timezone = 'UTC';
  SET bytea_output = 'hex'; SET extra_float_digits = 1; SET client_encoding = 'UTF8';
  SET search_path = pg_catalog, pg_temp; SET quote_all_identifiers = off;
  SET statement_timeout = 0; SET lock_timeout = 0; SET idle_session_timeout = 0;
  SET idle_in_transaction_session_timeout = 0; ${NO_TRANSACTION_TIMEOUT}`;
