// Bytes that a real server sent, recorded once, give the events that were read through by hand then.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { bodyText, decodeFrames } from "../../../support/postgres/decode-frames.ts";

interface Recording {
  readonly server: string;
  /** Base64. */
  readonly frames: readonly string[];
  readonly events: readonly { readonly position: string; readonly subject: string; readonly body: string }[];
}

test("a recorded log of Postgres 18 gives the same events byte by byte", () => {
  const file = new URL("../../../golden/pgoutput-18.json", import.meta.url);
  const recording = JSON.parse(readFileSync(file, "utf8")) as Recording;
  const frames = recording.frames.map((frame) => Buffer.from(frame, "base64"));
  const messages = decodeFrames(frames, { primaryKey: ["id"] });

  expect(
    messages.map((message) => ({
      position: message.position,
      subject: message.type === "message" ? message.subject : message.type,
      body: bodyText(message),
    })),
  ).toEqual(recording.events);
});
