// The parameters that a connection url may have: libpq's, as far as they mean something here. All others are refused by name.

interface Parameter {
  /** The environment variable that stands for it where the url does not say it. */
  readonly variable?: string;
  readonly values?: readonly string[];
  readonly number?: true;
}

const OFF_OR_ON: Parameter = { values: ["0", "1"] };
const NUMBER: Parameter = { number: true };
const TLS_VERSION: readonly string[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

export const parameters: Readonly<Record<string, Parameter>> = {
  host: { variable: "PGHOST" },
  port: { variable: "PGPORT" },
  dbname: { variable: "PGDATABASE" },
  user: { variable: "PGUSER" },
  password: { variable: "PGPASSWORD" },
  passfile: { variable: "PGPASSFILE" },
  sslmode: {
    variable: "PGSSLMODE",
    values: ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
  },
  sslrootcert: { variable: "PGSSLROOTCERT" },
  sslcert: { variable: "PGSSLCERT" },
  sslkey: { variable: "PGSSLKEY" },
  sslpassword: {},
  sslcrl: { variable: "PGSSLCRL" },
  sslcertmode: { variable: "PGSSLCERTMODE", values: ["disable", "allow"] },
  sslnegotiation: { variable: "PGSSLNEGOTIATION", values: ["postgres", "direct"] },
  ssl_min_protocol_version: { variable: "PGSSLMINPROTOCOLVERSION", values: TLS_VERSION },
  ssl_max_protocol_version: { variable: "PGSSLMAXPROTOCOLVERSION", values: TLS_VERSION },
  channel_binding: { variable: "PGCHANNELBINDING", values: ["disable", "prefer", "require"] },
  target_session_attrs: {
    variable: "PGTARGETSESSIONATTRS",
    values: ["any", "read-write", "read-only", "primary", "standby", "prefer-standby"],
  },
  load_balance_hosts: { variable: "PGLOADBALANCEHOSTS", values: ["disable", "random"] },
  connect_timeout: { variable: "PGCONNECT_TIMEOUT", number: true },
  options: { variable: "PGOPTIONS" },
  application_name: {},
  fallback_application_name: {},
  keepalives: OFF_OR_ON,
  keepalives_idle: NUMBER,
  // Node has no such socket options; libpq ignores them too where the system has none.
  keepalives_interval: NUMBER,
  keepalives_count: NUMBER,
  tcp_user_timeout: NUMBER,
  // What is so anyway.
  client_encoding: { values: ["UTF8", "utf8", "UTF-8", "utf-8", "auto"] },
  gssencmode: { values: ["disable", "prefer"] },
  sslcompression: { values: ["0"] },
  sslsni: { values: ["1"] },
  // For urls that JDBC or pg read as well.
  ssl: { values: ["true"] },
  uselibpqcompat: { values: ["true"] },
};

/** What is wrong with a value, which is not quoted: it may be a secret that was put into the wrong place. */
export function wrongValue(name: string, value: string): string | undefined {
  const { values, number } = parameters[name] ?? {};
  if (values !== undefined && !values.includes(value))
    return `expected ${values.join(", ").replace(/, ([^,]*)$/, " or $1")}`;
  if (number && !/^\d{1,9}$/.test(value)) return "expected a number";
  return undefined;
}
