// What `check` says of endpoints: what would be refused, and what others could read or forge. It connects to none of them.

import { type LookupAddress, lookup } from "node:dns";
import { isIP } from "node:net";
import { realClock, within } from "../clock.ts";
import { type Endpoint, endpointKind } from "../config/endpoints-schema.ts";
import { about, type Finding } from "../telemetry/finding.ts";
import { bareHost, refusedRange } from "./dial/address.ts";

const LOOKUP_MS = 5000;

export async function endpointFindings(
  endpoints: ReadonlyMap<string, { reveal(): Endpoint }>,
): Promise<readonly Finding[]> {
  const found = [...endpoints].map(([name, section]) => findingsOf(name, section.reveal()));
  return (await Promise.all(found)).flat();
}

async function findingsOf(name: string, endpoint: Endpoint): Promise<readonly Finding[]> {
  const { ok, warn, fail } = about(`endpoint ${name}`);
  const { allowPrivate } = endpoint;
  const kind = endpointKind(endpoint);
  const url = new URL(endpoint.kind === "email" ? endpoint.smtp : endpoint.url);
  const found: Finding[] = [];
  const addresses = await addressesOf(bareHost(url.hostname));
  const refused = allowPrivate ? [] : addresses.flatMap((address) => refusedRange(address) ?? []);
  if (addresses.length === 0) {
    found.push(warn("ENDPOINT_UNREACHABLE", "its name has no address now", "see that its url, or smtp, is right"));
  } else if (refused.length === addresses.length) {
    const fix = `where that is meant: endpoints.${name}.allowPrivate: true`;
    found.push(fail("ENDPOINT_ADDRESS_REFUSED", `it leads to ${refused[0]}: nothing is sent to it`, fix));
  }
  if (url.protocol === "http:" && !allowPrivate)
    found.push(warn("ENDPOINT_PLAIN", "what is sent can be read on the way", "give it a url of https"));
  if (kind === "webhook" && "headers" in endpoint && !("secret" in endpoint && endpoint.secret !== undefined))
    found.push(
      warn(
        "ENDPOINT_UNSIGNED",
        "what is sent is not signed: its receiver cannot tell who sent it",
        `set endpoints.${name}.secret`,
      ),
    );
  return found.length > 0 ? found : [ok("ENDPOINT", `${kind}, by ${url.protocol.slice(0, -1)}`)];
}

/** Also of what is an address already; none where nobody answers. */
async function addressesOf(host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const asked = new Promise<readonly LookupAddress[]>((resolve) => {
    lookup(host, { all: true }, (error, found) => resolve(error ? [] : found));
  });
  return ((await within(realClock, LOOKUP_MS, asked)) ?? []).map(({ address }) => address);
}
