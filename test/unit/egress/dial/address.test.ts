import ipaddr from "ipaddr.js";
import { expect, test } from "vitest";
import { refusedRange } from "../../../../src/egress/dial/address.ts";

const REFUSED = [
  ...[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
  ],
  ...["169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1"],
  ...["198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"],
  ...["255.255.255.255", "168.63.129.16", "::", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8"],
  ...["::ffff:0:127.0.0.1", "::127.0.0.1", "::8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1"],
  ...[
    "2002:7f00:1::",
    "2001:0:0:0:0:0:80ff:fffe",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd12:3456:789a::1",
  ],
  ...["fd00:ec2::254", "ff02::1", "2001:db8::1", "3fff::1", "100::1", "5f00::1", "4000::1", "2001:2::1", "2001:20::1"],
];
const ALLOWED = [
  ...["93.184.216.34", "8.8.8.8", "1.1.1.1", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1"],
  ...["126.255.255.255", "128.0.0.1", "169.253.255.255", "198.17.255.255", "198.20.0.0", "223.255.255.255"],
  ...["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2a00:1450:4001:82a::200e", "2400:cb00::1"],
];

test.each(REFUSED)("nothing is sent to %s", (address) => {
  expect(refusedRange(address)).toBeTypeOf("string");
});

test.each(ALLOWED)("%s is of the internet", (address) => {
  expect(refusedRange(address)).toBeUndefined();
});

test.each(["", "localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "[::1]", "::g", "1.2.3.4.5"])(
  "what is no plain address counts as refused: %j",
  (text) => {
    expect(refusedRange(text)).toBe("no address");
  },
);

test("an address counts the same however IPv6 writes it", () => {
  for (const address of [...REFUSED, ...ALLOWED].filter((one) => one.includes(":") && !one.includes("%"))) {
    const parsed = ipaddr.parse(address) as ipaddr.IPv6;
    for (const form of [parsed.toNormalizedString(), parsed.toString().toUpperCase()]) {
      expect([form, refusedRange(form)]).toEqual([form, refusedRange(address)]);
    }
  }
});
