// Whether a server is what target_session_attrs asks for, by what it reports of itself (Postgres 14 and newer).

/**
 * @param reported the server's parameters, as they came with the connection
 * @returns what it is instead; undefined where it fits
 */
export function unfitSession(wanted: string, reported: ReadonlyMap<string, string>): string | undefined {
  const standby = reported.get("in_hot_standby") === "on";
  const readOnly = standby || reported.get("default_transaction_read_only") === "on";
  switch (wanted) {
    case "read-write":
      return readOnly ? "it is read-only" : undefined;
    case "read-only":
      return readOnly ? undefined : "it takes writes";
    case "primary":
      return standby ? "it is a standby" : undefined;
    case "standby":
      return standby ? undefined : "it is no standby";
    default:
      return undefined;
  }
}
