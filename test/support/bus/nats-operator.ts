// An operator with one account and one user, as nsc would make them: the server's configuration, and the user's .creds file.

import { nkeys } from "@nats-io/transport-node";

type Pair = ReturnType<typeof nkeys.createUser>;

const UNLIMITED = -1;
const LIMITS = {
  ...{ subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED, conn: UNLIMITED, leaf: UNLIMITED },
  ...{ imports: UNLIMITED, exports: UNLIMITED, wildcards: true },
};
const JETSTREAM = { mem_storage: UNLIMITED, disk_storage: UNLIMITED, streams: UNLIMITED, consumer: UNLIMITED };

/** @param expired whether the user's JWT was valid until yesterday only */
export function natsOperator(expired = false): { readonly config: string; readonly creds: string } {
  const operator = nkeys.createOperator();
  const [account, system] = [nkeys.createAccount(), nkeys.createAccount()];
  const user = nkeys.createUser();
  const accountJwt = (pair: Pair, limits: object): string =>
    jwt(operator, pair, { type: "account", version: 2, limits, default_permissions: { pub: {}, sub: {} } });
  const operatorJwt = jwt(operator, operator, { type: "operator", version: 2, system_account: system.getPublicKey() });
  const userJwt = jwt(
    account,
    user,
    { type: "user", version: 2, pub: {}, sub: {}, subs: UNLIMITED, data: UNLIMITED, payload: UNLIMITED },
    expired ? { exp: Math.floor(Date.now() / 1000) - 86_400 } : {},
  );
  return {
    config: `operator: ${operatorJwt}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload: {
  ${account.getPublicKey()}: ${accountJwt(account, { ...LIMITS, ...JETSTREAM })}
  ${system.getPublicKey()}: ${accountJwt(system, LIMITS)}
}`,
    creds: `-----BEGIN NATS USER JWT-----
${userJwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${new TextDecoder().decode(user.getSeed())}
------END USER NKEY SEED------
`,
  };
}

function jwt(issuer: Pair, subject: Pair, nats: object, more: object = {}): string {
  const now = Math.floor(Date.now() / 1000) - 60;
  const claims = { jti: subject.getPublicKey(), iat: now, iss: issuer.getPublicKey(), name: "test", ...more };
  const encoded = [
    { typ: "JWT", alg: "ed25519-nkey" },
    { ...claims, sub: subject.getPublicKey(), nats },
  ].map(base64);
  const body = encoded.join(".");
  return `${body}.${Buffer.from(issuer.sign(new TextEncoder().encode(body))).toString("base64url")}`;
}

function base64(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
