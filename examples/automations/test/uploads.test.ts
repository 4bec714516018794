import { given } from "millrace/testing";
import { expect, test } from "vitest";
import { processUpload, uploads } from "../uploads.ts";

const upload = (id: string, path: string, size = 10) => uploads.row({ id, bucket: "in", path, size }).created();

test("each upload is processed once, when it comes", async () => {
  const r = await given([upload("1", "a.csv"), upload("2", "b.json")]).when(processUpload);

  expect(r.emitted.map(({ data }) => data)).toEqual([{ path: "in/a.csv" }, { path: "in/b.json" }]);
  expect(r.passedMs).toBe(0);
});

test("an empty one is left out, and one that nobody can read is a dead letter at once, not tried three times", async () => {
  const r = await given([upload("1", "a.csv", 0), upload("2", "b.exe")]).when(processUpload);

  expect(r.outcomes).toMatchObject([
    { outcome: "filtered", attempts: 0 },
    { outcome: "dead", reason: "fatal", attempts: 1, waits: [], error: { message: "neither CSV nor JSON" } },
  ]);
});
