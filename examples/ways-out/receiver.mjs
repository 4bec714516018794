// The CRM of this example: verifies what comes by the package of Standard Webhooks, and drops what it has had.

import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.env.CRM_SECRET);
/** An application keeps them where it keeps what it made of the message. */
const had = new Set();

createServer(async (request, response) => {
  const id = request.headers["webhook-id"];
  try {
    const message = webhook.verify(await text(request), request.headers);
    console.log(had.has(id) ? "duplicate" : "verified", message.type, JSON.stringify(message.data));
    had.add(id);
    response.writeHead(204).end();
  } catch (error) {
    console.log("refused", error.message);
    response.writeHead(401).end();
  }
}).listen(Number(new URL(process.env.CRM_URL).port), "127.0.0.1");
