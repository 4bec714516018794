// Names of the KV buckets.

export const LEASE_BUCKET = "millrace_leases";
export const SCHEMA_BUCKET = "millrace_schemas";
export const STATE_BUCKET = "millrace_state";
