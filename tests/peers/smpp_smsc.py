"""An SMSC by other hands (PyPI smpp34): takes what Meari's client submits, answers, sends receipts and a text.

Prints the port, then one JSON object a line for what happened; ends after the client has unbound.
"""

import asyncio
import json
import os
import socket

from smpp34 import Esme, Server, SubmitSmEvent, Unbound


def say(**what):
    print(json.dumps(what), flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def main():
    port = free_port()
    server = Server("127.0.0.1", port, system_id="peer")
    await server.start()
    say(port=port)
    esme, count = None, 0
    while True:
        event = await server.next()
        if isinstance(event, Esme):
            esme = event
            say(bound=event.system_id)
        elif isinstance(event, SubmitSmEvent):
            count += 1
            message_id = f"peer{count}"
            pdu, body = event, bytes(event.short_message)
            say(
                submit=message_id,
                source=pdu.source_addr,
                destination=pdu.destination_addr,
                esm_class=pdu.esm_class,
                data_coding=pdu.data_coding,
                registered_delivery=pdu.registered_delivery,
                body=body.hex(),
            )
            event.accept(message_id)
            text = (
                f"id:{message_id} sub:001 dlvrd:001 submit date:2601151200 done date:2601151200 "
                f"stat:DELIVRD err:000 text:"
            )
            answer = await esme.deliver_sm(
                pdu.source_addr, text.encode(), source_addr=pdu.destination_addr, esm_class=4
            )
            say(receipt=message_id, status=answer.command_status)
            if count == 1:
                answer = await esme.deliver_sm(
                    pdu.source_addr, b"Hello from a peer", source_addr=pdu.destination_addr, source_addr_ton=1
                )
                say(text=True, status=answer.command_status)
        elif isinstance(event, Unbound):
            say(unbound=True)
            break
    await server.stop()


asyncio.run(main())
# The library's own threads may still call into an interpreter that is being taken down, which then dies of a signal.
os._exit(0)
