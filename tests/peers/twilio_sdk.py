#!/usr/bin/env python3
"""Drives the carrier simulator with the vendor's own SDK and checks its callbacks with the vendor's own validator.

Needs PyPI `twilio`. Usage:

    python tests/peers/twilio_sdk.py --api-base http://127.0.0.1:8090 --sid AC... --token ...

Exits 0 when everything is as the vendor's SDK expects it, 1 at the first mismatch, which it prints.
"""

import argparse
import json
import queue
import sys
import threading
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

CLOUD = "https://api.twilio.com"
PATIENCE_S = 10


class LocalHttpClient(TwilioHttpClient):
    """The SDK's own HTTP client, with the vendor's host replaced by ours."""

    def __init__(self, base):
        super().__init__(timeout=PATIENCE_S)
        self.base = base.rstrip("/")

    def request(self, method, url, *args, **kwargs):
        if not url.startswith(CLOUD):
            fail(f"the SDK leaves for {url}")
        return super().request(method, self.base + url[len(CLOUD):], *args, **kwargs)


class Receiver(ThreadingHTTPServer):
    """The customer's side: takes callbacks and keeps them with their signatures."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = queue.Queue()
        self.answers = queue.Queue()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def next(self, what):
        try:
            return self.calls.get(timeout=PATIENCE_S)
        except queue.Empty:
            fail(f"no callback: {what}")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        params = dict(urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True))
        call = {"url": self.server.url + self.path, "params": params, "headers": self.headers}
        self.server.calls.put(call)
        status = 200 if self.server.answers.empty() else self.server.answers.get()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", "11")
        self.end_headers()
        self.wfile.write(b"<Response/>")

    def log_message(self, *_):
        pass


def fail(why):
    print(f"MISMATCH: {why}", file=sys.stderr)
    sys.exit(1)


def equal(got, wanted, what):
    if got != wanted:
        fail(f"{what}: {got!r} instead of {wanted!r}")


def refused(code, status, call):
    try:
        call()
    except TwilioRestException as error:
        equal((error.code, error.status), (code, status), f"refusal of {code}")
        return
    fail(f"not refused: {code}")


def signed(validator, call):
    signature = call["headers"].get("X-Twilio-Signature", "")
    if not validator.validate(call["url"], call["params"], signature):
        fail(f"the signature of {call['url']} does not hold")
    if validator.validate(call["url"], {**call["params"], "Body": "forged"}, signature):
        fail("a forged callback passes")
    return call["params"]


def simulated(base, method, path, body=None):
    """The simulator's own door."""
    request = urllib.request.Request(base.rstrip("/") + path, method=method)
    data = None
    if body is not None:
        request.add_header("Content-Type", "application/json")
        data = json.dumps(body).encode()
    with urllib.request.urlopen(request, data=data, timeout=PATIENCE_S) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def check_numbers(client, receiver):
    found = client.available_phone_numbers("US").local.list(area_code=202, sms_enabled=True, limit=3)
    equal(len(found), 3, "numbers found")
    if not found[0].phone_number.startswith("+1202"):
        fail("the area code is not heeded")
    equal(found[0].capabilities["SMS"], True, "capability of a free number")
    rented = client.incoming_phone_numbers.create(
        phone_number=found[0].phone_number, sms_url=receiver.url + "/sms?b=2&a=1", friendly_name="SDK"
    )
    equal(rented.phone_number, found[0].phone_number, "rented number")
    equal(rented.capabilities["sms"], True, "capability of a rented number")
    equal(rented.friendly_name, "SDK", "friendly name")
    if not isinstance(rented.date_created, datetime):
        fail("date_created is no date")
    again = client.available_phone_numbers("US").local.list(area_code=202, limit=1000)
    if found[0].phone_number in [number.phone_number for number in again]:
        fail("a rented number is offered again")
    refused(21422, 400, lambda: client.incoming_phone_numbers.create(phone_number=rented.phone_number))
    listed = client.incoming_phone_numbers.list(phone_number=rented.phone_number)
    equal([number.sid for number in listed], [rented.sid], "numbers listed")
    return rented


def check_sending(client, receiver, validator, number, phone):
    text = "Grüße & 50% + 1 = ✓ 안녕"
    callback = receiver.url + "/status?msg=1"
    sent = client.messages.create(to=phone, from_=number.phone_number, body=text, status_callback=callback)
    equal((sent.status, sent.direction, sent.body), ("queued", "outbound-api", text), "message sent")
    equal((sent.num_segments, sent.num_media, sent.error_code), ("1", "0", None), "message sent")
    for wanted in ["sent", "delivered"]:
        params = signed(validator, receiver.next(wanted))
        equal((params["MessageSid"], params["MessageStatus"]), (sent.sid, wanted), "receipt")
    got = client.messages(sent.sid).fetch()
    equal((got.status, got.body), ("delivered", text), "message fetched")
    for name in ["date_created", "date_sent", "date_updated"]:
        if not isinstance(getattr(got, name), datetime):
            fail(f"{name} is no date")
    equal(client.messages(sent.sid).update(body="").body, "", "message redacted")
    equal(client.messages(sent.sid).delete(), True, "message deleted")
    refused(20404, 404, lambda: client.messages(sent.sid).fetch())


def check_lists(client, number, phone):
    sids = [client.messages.create(to=phone, from_=number.phone_number, body=str(n)).sid for n in range(5)]
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    listed = client.messages.list(to=phone, from_=number.phone_number, date_sent_after=yesterday, page_size=2)
    equal([message.sid for message in listed][:5], sids[::-1], "messages listed over pages")
    tomorrow = datetime.now(timezone.utc) + timedelta(days=1)
    equal(client.messages.list(to=phone, date_sent_after=tomorrow), [], "messages of tomorrow")


def check_refusals(client, base, number, phone):
    create = client.messages.create
    ours = number.phone_number
    refused(21211, 400, lambda: create(to="+1", from_=ours, body="x"))
    refused(21606, 400, lambda: create(to=phone, from_="+12125550199", body="x"))
    refused(21602, 400, lambda: create(to=phone, from_=ours))
    refused(21617, 400, lambda: create(to=phone, from_=ours, body="x" * 1601))
    refused(21603, 400, lambda: create(to=phone, body="x"))
    simulated(base, "PUT", "/behaviour", {"times": 1, "refuse": {"status": 429, "code": 20429}})
    refused(20429, 429, lambda: create(to=phone, from_=ours, body="x"))
    stranger = Client(client.account_sid, "wrong", http_client=LocalHttpClient(base))
    refused(20003, 401, lambda: stranger.api.accounts(client.account_sid).fetch())


def check_schedule(client, phone):
    service = "MG" + "0" * 32
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    sent = client.messages.create(
        to=phone, messaging_service_sid=service, body="later", schedule_type="fixed", send_at=later
    )
    equal((sent.status, sent.from_), ("scheduled", None), "message scheduled")
    equal(client.messages(sent.sid).update(status="canceled").status, "canceled", "message canceled")


def check_receiving(client, base, receiver, validator, number, phone):
    receiver.answers.put(503)
    path = f"/phones/{urllib.parse.quote(phone)}/messages"
    sid = simulated(base, "POST", path, {"to": number.phone_number, "text": "hi ✓ & bye"})["message_sid"]
    first, second = receiver.next("inbound"), receiver.next("inbound, once more")
    for call in (first, second):
        params = signed(validator, call)
        equal((params["MessageSid"], params["Body"], params["From"]), (sid, "hi ✓ & bye", phone), "inbound")
        equal((params["To"], params["NumMedia"], params["FromCity"]), (number.phone_number, "0", ""), "inbound")
    equal(client.messages(sid).fetch().direction, "inbound", "inbound message fetched")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api-base", required=True)
    parser.add_argument("--sid", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--phone", default="+12025550198", help="a number that no phone of the simulator has yet")
    options = parser.parse_args()
    client = Client(options.sid, options.token, http_client=LocalHttpClient(options.api_base))
    validator, receiver, base = RequestValidator(options.token), Receiver(), options.api_base
    simulated(base, "POST", "/phones", {"number": options.phone, "name": "SDK"})
    try:
        equal(client.api.accounts(options.sid).fetch().status, "active", "account")
        number = check_numbers(client, receiver)
        check_sending(client, receiver, validator, number, options.phone)
        check_lists(client, number, options.phone)
        check_refusals(client, base, number, options.phone)
        check_schedule(client, options.phone)
        check_receiving(client, base, receiver, validator, number, options.phone)
        changed = number.update(sms_method="GET")
        equal(changed.sms_method, "GET", "number updated")
        equal(number.delete(), True, "number released")
        refused(20404, 404, lambda: client.incoming_phone_numbers(number.sid).fetch())
    finally:
        simulated(base, "DELETE", f"/phones/{urllib.parse.quote(options.phone)}")
        receiver.shutdown()
    print("the vendor's SDK is content")


if __name__ == "__main__":
    main()
