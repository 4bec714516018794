// What goes past the client: header lines read from a message's bytes, and short messages in one piece.

import { connect, headers, type Msg } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { headersOf } from "../../../src/bus/jetstream/client/shared-stream.ts";
import { Received } from "../../../src/bus/jetstream/consumer/received.ts";
import { publishShort } from "../../../src/bus/jetstream/stream/raw-publish.ts";
import { freshNats, missing } from "../../support/servers.ts";
import { waitFor } from "../../support/wait-for.ts";

describe.skipIf(missing("nats"))("past the client, header lines", () => {
  async function exchange(
    messages: readonly { readonly subject: string; readonly lines?: Record<string, string>; readonly body: string }[],
  ): Promise<readonly Msg[]> {
    const nc = await connect({ servers: (await freshNats()).url });
    onTestFinished(() => nc.close());
    const got: Msg[] = [];
    nc.subscribe("x.>", { callback: (_, message) => void got.push(message) });
    for (const { subject, lines, body } of messages) {
      const head = headers();
      for (const [name, value] of Object.entries(lines ?? {})) head.append(name, value);
      nc.publish(subject, body, lines ? { headers: head, reply: "y.reply" } : {});
    }
    await waitFor(() => got.length === messages.length, { what: "all messages" });
    return got;
  }

  test("are the same as the client's, also across the socket's chunks, without a body, and without a reply", async () => {
    const messages = Array.from({ length: 300 }, (_, n) => ({
      subject: `x.${n}`,
      lines: { "ce-id": `shop.${n}`, "ce-subject": "public.orders/%C3%A9", "Cdc-Pos": `${n}+`, empty: "" },
      body: "b".repeat((n % 7) * 400),
    }));

    for (const message of await exchange(messages)) {
      const received = new Received(message);
      for (const name of ["ce-id", "ce-subject", "Cdc-Pos", "empty"])
        expect(received.header(name)).toBe(message.headers?.get(name));
      expect(received.header("CE-ID")).toBeUndefined();
      expect(received.header("Pos")).toBeUndefined();
      expect(received.headers()).toEqual(headersOf(message.headers));
      expect([received.subject, received.reply]).toEqual([message.subject, message.reply]);
      expect(Buffer.compare(received.data, message.data)).toBe(0);
    }
  });

  test("there are none where the message has none, and the client is asked where its subject hides where they begin", async () => {
    const [plain, foreign] = await exchange([
      { subject: "x.plain", body: "NATS/1.0\r\nce-id: no\r\n\r\n" },
      { subject: "x.é", lines: { "ce-id": "yes" }, body: "{}" },
    ]);

    const [none, client] = [plain, foreign].map((message) => message && new Received(message));
    expect([none?.header("ce-id"), none?.headers()]).toEqual([undefined, {}]);
    expect([client?.header("ce-id"), client?.headers()]).toEqual(["yes", { "ce-id": "yes" }]);
  });

  test("short messages in one piece come as they are, in their order, and an answer goes where each says", async () => {
    const nc = await connect({ servers: (await freshNats()).url });
    onTestFinished(() => nc.close());
    const got: Msg[] = [];
    nc.subscribe("x.>", { callback: (_, message) => void got.push(message) });
    const messages = [
      { subject: "x.1", text: "+ACK" },
      { subject: "x.2", text: "+TERM \u00e9, and\r\nPUB x.3 0\r\n" },
      { subject: "x.4", text: "" },
      { subject: "x.5", text: "+ACK", reply: "y.5" },
    ];

    publishShort(nc, messages);
    nc.publish("x.last");

    await waitFor(() => got.some(({ subject }) => subject === "x.last"), { what: "what was sent behind them" });
    expect(got.slice(0, -1).map((one) => [one.subject, one.string(), one.reply])).toEqual(
      messages.map(({ subject, text, reply = "" }) => [subject, text, reply]),
    );
  });
});
