// What a nats-server says of itself before anybody is let in: asked where its client only says that time ran out.

import { once } from "node:events";
import { connect } from "node:net";

const ANSWER_MS = 2000;

/** Whether it takes only clients with a certificate that it trusts; false where that cannot be found out. */
export async function asksForCertificate(address: string): Promise<boolean> {
  const url = new URL(`nats://${address.replace(/^\w+:\/\//, "")}`);
  const socket = connect(Number(url.port || 4222), url.hostname.replace(/^\[|\]$/g, ""));
  try {
    const [greeting] = await once(socket, "data", { signal: AbortSignal.timeout(ANSWER_MS) });
    const info = JSON.parse(/^INFO (\{.*\})/.exec(String(greeting))?.[1] ?? "{}") as { readonly tls_verify?: boolean };
    return info.tls_verify === true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
