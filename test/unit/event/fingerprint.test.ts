// What dead letters are grouped by.

import { expect, test } from "vitest";
import { fingerprintOf, wordsOf } from "../../../src/event/fingerprint.ts";

const error = {
  name: "Error",
  code: "E_STOCK",
  message: 'no stock of "blue shirt" for order 42',
  at: ["work (automations/mail.ts:12:9)"],
};

test("errors that say the same of different events, at another line of the same function, have one fingerprint", () => {
  const other = {
    ...error,
    message: 'no stock of "red hat" for order 1043',
    at: ["work (/srv/app/automations/mail.ts:19:3)", "x (y.ts:1:1)"],
  };
  expect(fingerprintOf(other)).toBe(fingerprintOf(error));
  expect(fingerprintOf(error)).toMatch(/^[\da-f]{12}$/);
});

test("another name, code, text, function or file is another fingerprint", () => {
  const others = [
    { ...error, name: "TypeError" },
    { ...error, code: "E_PRICE" },
    { ...error, message: "no price" },
    { ...error, at: ["pay (automations/mail.ts:12:9)"] },
    { ...error, at: ["work (automations/bill.ts:12:9)"] },
    {},
  ];
  expect(new Set([error, ...others].map(fingerprintOf)).size).toBe(7);
});

test.each([
  ["order 42 of 3.5 at 12:30", "order … of … at …"],
  ["no row 1b4e28ba-2fa1-11d2-883f-0016d3cca427", "no row …"],
  ["object 64f1c0ffee64f1c0ffee64f1 is gone", "object … is gone"],
  ["'a' and \"b\"\n  and `c`", "… and … and …"],
  ["mail to ann@example.org failed", "mail to … failed"],
  ["a deadlock was seen", "a deadlock was seen"],
])("%j reads %j", (message, words) => {
  expect(wordsOf(message)).toBe(words);
});
