// Names of the buckets, and of the stream behind the one for large bodies.

import { LARGE_BUCKET } from "../../../event/data-ref.ts";

export const LEASE_BUCKET = "millrace_leases";
export const SCHEMA_BUCKET = "millrace_schemas";
export const STATE_BUCKET = "millrace_state";
export const LARGE_STREAM = `OBJ_${LARGE_BUCKET}`;
