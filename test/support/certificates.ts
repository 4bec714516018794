// Real certificates for tests of TLS, made by openssl: an authority, what it signs, and what it does not.

import { execFileSync } from "node:child_process";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Makes certificates into one directory, each valid for a day. */
export class Certificates {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** An authority, which is also what signs itself. @param alternative subjectAltName: `DNS:localhost` */
  selfSigned(name: string, alternative = "DNS:localhost"): Certificate {
    const { cert, key } = this.#files(name);
    const extension = ["-addext", `subjectAltName=${alternative}`];
    openssl("req", "-x509", ...RSA, "-keyout", key, "-out", cert, "-days", "1", "-subj", `/CN=${name}`, ...extension);
    chmodSync(key, 0o600);
    return { cert, key };
  }

  /** Signed by an authority. @param days negative: it expired that long ago */
  signed(by: Certificate, name: string, alternative = "DNS:localhost", days = 1): Certificate {
    const { cert, key } = this.#files(name);
    const request = join(this.#directory, `${name}.csr`);
    const extensions = join(this.#directory, `${name}.ext`);
    writeFileSync(extensions, `subjectAltName=${alternative}\n`);
    openssl("req", ...RSA, "-keyout", key, "-out", request, "-subj", `/CN=${name}`);
    const authority = ["-CA", by.cert, "-CAkey", by.key, "-CAcreateserial", "-extfile", extensions];
    openssl("x509", "-req", "-in", request, "-out", cert, "-days", String(days), ...authority);
    chmodSync(key, 0o600);
    return { cert, key };
  }

  /** The same key behind a password. */
  encrypted({ cert, key }: Certificate, password: string): Certificate {
    const locked = `${key}.locked`;
    openssl("rsa", "-aes256", "-in", key, "-out", locked, "-passout", `pass:${password}`);
    chmodSync(locked, 0o600);
    return { cert, key: locked };
  }

  #files(name: string): Certificate {
    return { cert: join(this.#directory, `${name}.crt`), key: join(this.#directory, `${name}.key`) };
  }
}

const RSA: readonly string[] = ["-newkey", "rsa:2048", "-nodes"];

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}
