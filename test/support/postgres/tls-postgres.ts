// A Postgres that takes TLS, with roles that may come only in one way or another.

import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { PostgresServer } from "../../../src/dev/postgres.ts";
import { Certificates } from "../certificates.ts";
import { freshPostgres, scratchDir } from "../servers.ts";

/**
 * By name what each role needs; everybody else is trusted. `scram` gives a password in any way, `tlsonly` one over TLS,
 * `certified` a certificate of its own; `plainonly` may not come with TLS.
 */
const HBA = `
local all all trust
hostssl all tlsonly all scram-sha-256
host all tlsonly all reject
hostssl all certified all cert
host all certified all reject
hostssl all plainonly all reject
host all scram all scram-sha-256
host all md5 all md5
host all all all trust
`;

export interface TlsPostgres {
  readonly server: PostgresServer;
  readonly certificates: Certificates;
  /** Where all of it is, the socket too. */
  readonly directory: string;
}

/**
 * Its certificate is for `localhost`, signed by `ca`; the files are named after what they are: `ca.crt`, `server.key`.
 * @param rules who may come how, as in `pg_hba.conf`
 */
export async function tlsPostgres(rules: string = HBA): Promise<TlsPostgres> {
  const directory = await scratchDir();
  chmodSync(directory, 0o777); // the server may be another user's, and makes its socket there
  const certificates = new Certificates(directory);
  const ca = certificates.selfSigned("ca");
  const { cert, key } = certificates.signed(ca, "server");
  const hba = join(directory, "pg_hba.conf");
  writeFileSync(hba, rules);
  if (process.getuid?.() === 0) execFileSync("chown", ["nobody", key]);
  const server = await freshPostgres({
    ssl: "on",
    ssl_cert_file: cert,
    ssl_key_file: key,
    ssl_ca_file: ca.cert,
    hba_file: hba,
    unix_socket_directories: directory,
  });
  return { server, certificates, directory };
}
