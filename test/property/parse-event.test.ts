// Whatever text a header carries comes back as it was.

import fc from "fast-check";
import { expect, test } from "vitest";
import { percentDecode, percentEncode } from "../../src/event/percent.ts";

test("a percent-encoded header is printable ASCII and decodes to what was encoded", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const encoded = percentEncode(text);
      expect(encoded).toMatch(/^[!#-~]*$/);
      expect(percentDecode(encoded)).toBe(text);
    }),
  );
});
