// Sends what a payment provider, an ERP and an application would send, signed as they do.

import { createHmac } from "node:crypto";

const base = `http://127.0.0.1:${process.env.INGRESS_PORT ?? 8080}`;
const now = Math.floor(Date.now() / 1000);
const hmac = (secret, text) => createHmac("sha256", secret).update(text).digest("hex");

async function post(path, headers, body) {
  const answer = await fetch(base + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
  console.log(path, answer.status, await answer.text());
}

const invoice = JSON.stringify({ id: "evt_1", type: "invoice.paid", data: { object: { id: "in_1", paid: true } } });
const signature = `t=${now},v1=${hmac(process.env.STRIPE_SECRET, `${now}.${invoice}`)}`;
await post("/in/payments", { "stripe-signature": signature }, invoice);
await post("/in/payments", { "stripe-signature": signature }, invoice); // as a provider does that got no answer

const order = JSON.stringify({ event: "order.created", order: 42 });
const digest = `sha256=${hmac(process.env.ERP_SECRET, `${now}.${order}`)}`;
await post("/in/erp", { "x-signature": digest, "x-time": String(now), "x-delivery": "d-1" }, order);

const bearer = { authorization: `Bearer ${process.env.EVENTS_TOKEN}` };
await post("/events/user.signed_in", { ...bearer, "idempotency-key": "session-1" }, JSON.stringify({ user: "ada" }));
await post("/events/user.signed_in", bearer, JSON.stringify({ name: "ada" })); // does not fit the schema
