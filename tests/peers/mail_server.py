"""A real SMTP server (aiosmtpd). Says its port on the first line, then every letter that it took as a line of JSON.

Letters to `refused@…` are refused for good, the first one to each `later@…` for now.
"""

import asyncio
import email
import email.policy
import json
import sys

from aiosmtpd.smtp import SMTP


class Inbox:
    def __init__(self):
        self.put_off = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 no such person"
        if address.startswith("later@") and address not in self.put_off:
            self.put_off.add(address)
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = letter.get_body(preferencelist=("plain",)).get_content()
        taken = {
            "to": envelope.rcpt_tos,
            "from": envelope.mail_from,
            "subject": str(letter["subject"]),
            "message_id": str(letter["message-id"]),
            "auto_submitted": str(letter["auto-submitted"]),
            "text": body,
        }
        print(json.dumps(taken), flush=True)
        return "250 taken"


async def main():
    inbox = Inbox()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(inbox, enable_SMTPUTF8=True), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The story holds our standard input open and closes it when it ends.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
