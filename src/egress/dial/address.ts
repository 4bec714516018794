// Which addresses the internet reaches, and so which a request out may go to. Pure.

import ipaddr from "ipaddr.js";

/** Outside of what is special by its range, and yet only reached from within: Azure's own services of a machine. */
const METADATA: ReadonlySet<string> = new Set(["168.63.129.16"]);

/**
 * Why nothing may be sent to an address, in words; undefined where it may. Of IPv4 all that is not special; of IPv6 only global unicast
 * (2000::/3), and none of its forms that lead to an IPv4 address (mapped, compatible, translated, NAT64, 6to4, Teredo).
 * @param address as a resolver gives it, perhaps with a zone; anything else counts as refused
 */
export function refusedRange(address: string): string | undefined {
  const [plain = ""] = address.split("%");
  if (!ipaddr.isValid(plain) || (ipaddr.IPv4.isIPv4(plain) && !ipaddr.IPv4.isValidFourPartDecimal(plain))) {
    return "no address";
  }
  const parsed = ipaddr.parse(plain);
  const range = parsed.range();
  if (range !== "unicast") return RANGES[range] ?? range;
  if (METADATA.has(parsed.toString())) return "a metadata address";
  if (parsed.kind() === "ipv4") return undefined;
  // Whatever is special outside of it: also ::/96, which once meant IPv4 addresses.
  const [first = 0] = (parsed as ipaddr.IPv6).parts;
  return first >> 13 === 1 ? undefined : "no global unicast address";
}

/** A host of a URL without the brackets that an IPv6 address has there. */
export function bareHost(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

/** Where the library's name is not plain. */
const RANGES: Readonly<Record<string, string>> = {
  unspecified: "an unspecified address",
  broadcast: "the broadcast address",
  multicast: "a multicast address",
  linkLocal: "a link-local address",
  loopback: "a loopback address",
  carrierGradeNat: "an address of carrier-grade NAT",
  private: "a private address",
  uniqueLocal: "a private address",
  reserved: "a reserved address",
  ipv4Mapped: "an IPv4 address written as IPv6",
  rfc6145: "an IPv4 address written as IPv6",
  rfc6052: "an address of NAT64",
  "6to4": "an address of 6to4",
  teredo: "an address of Teredo",
};
