// Whatever text a header carries comes back as it was.

import fc from "fast-check";
import { expect, test } from "vitest";
import { percentDecode } from "../../src/event/percent-decode.ts";
import { percentEncode } from "../../src/event/percent-encode.ts";

test("a percent-encoded header is printable ASCII and decodes to what was encoded", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const encoded = percentEncode(text);
      expect(encoded).toMatch(/^[!#-~]*$/);
      expect(percentDecode(encoded)).toBe(text);
    }),
  );
});
