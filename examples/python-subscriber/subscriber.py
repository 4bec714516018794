"""A subscriber of Millrace's events with nothing but the plain NATS client: durable, and each event acked once it is handled."""

import asyncio
import json
import os
from urllib.parse import unquote

import nats
from nats.errors import TimeoutError as NothingYet
from nats.js.api import AckPolicy, ConsumerConfig


async def main() -> None:
    source = os.environ.get("SOURCE", "shop")
    left = int(os.environ.get("EVENTS", "-1"))  # ends after that many; else it goes on until Ctrl-C
    nc = await nats.connect(os.environ.get("NATS_URL", "nats://127.0.0.1:4222"))
    # The durable remembers what was acked: started again, it goes on from there.
    subscription = await nc.jetstream().pull_subscribe(
        os.environ.get("SUBJECT", f"events.{source}.>"),
        durable=os.environ.get("DURABLE", "python-subscriber"),
        stream=f"CDC_{source.upper()}",
        config=ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_deliver=-1),
    )
    while left != 0:
        try:
            [message] = await subscription.fetch(1, timeout=5)
        except NothingYet:
            continue
        header = {name: unquote(value) for name, value in (message.headers or {}).items()}
        # The id stays the same when an event comes again: remember it where an effect must happen once.
        if message.subject.startswith("cdc."):
            # Columns named in change["unchanged"] are not in after: the log left them out. A body above the server's
            # max_payload is elsewhere: see docs/wire.md, Large events.
            change = json.loads(message.data)
            images = ("before", json.dumps(change["before"]), "after", json.dumps(change["after"]))
            print(change["op"], header["ce-subject"], header["ce-id"], *images, flush=True)
        else:
            print(header["ce-type"], header["ce-subject"], header["ce-id"], message.data.decode(), flush=True)
        await message.ack_sync()
        left -= 1
    await nc.close()


asyncio.run(main())
