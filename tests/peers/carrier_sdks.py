#!/usr/bin/env python3
"""Lets vendors' own SDKs judge our fake carriers, so that what our adapters are tested against is the vendors' wire.

Needs PyPI `telnyx` (with `PyNaCl` for its signatures) and `bandwidth-sdk`. Reads JSON from standard input: {"telnyx": {...}, "bandwidth": {...}}.
Exits 0 when everything is as the SDKs expect it, 1 at the first mismatch, which it prints.
"""

import json
import sys
from unittest import mock


def check(what, good):
    if not good:
        print(f"mismatch: {what}")
        sys.exit(1)


def telnyx_judges(facts):
    import telnyx
    from telnyx.lib.webhook_verification import WebhookVerificationError, verify_webhook_signature

    now = facts["now"]
    with mock.patch("time.time", return_value=float(now)):
        for callback in facts["callbacks"]:
            headers, body = dict(callback["headers"]), callback["body"]
            try:
                verify_webhook_signature(body, headers, facts["public_key"])
                good, reason = True, None
            except WebhookVerificationError as error:
                good, reason = False, error
            what = f"the SDK says {good} of a callback that is {callback['why']} ({reason})"
            check(what, good == callback["genuine"])
    client = telnyx.Telnyx(api_key=facts["api_key"], base_url=facts["url"] + "/v2", max_retries=0)
    sent = client.messages.send(from_="+12025550106", to="+12025550101", text="Hi ✓", webhook_url="https://x.example.org/s?ref=1")
    check("the message has no id", bool(sent.data.id))
    check("the message is not queued", sent.data.to[0].status == "queued")
    records = client.detail_records.list(
        filter={"record_type": "messaging", "cli": "+12025550106", "cld": "+12025550101"}
    )
    check("the message is not among the detail records", any(r.uuid == sent.data.id for r in records.data))
    found = client.available_phone_numbers.list(filter={"country_code": "US", "national_destination_code": "202"})
    check("no numbers are offered", found.data[0].phone_number == "+12025550142")
    order = client.number_orders.create(phone_numbers=[{"phone_number": "+12025550142"}], customer_reference="r")
    check("the order is not done", order.data.status == "success")
    check("the balance", client.balance.retrieve().data.currency == "USD")


def bandwidth_judges(facts):
    import bandwidth

    class LocalClient(bandwidth.ApiClient):
        """The SDK's own client, with the vendor's host replaced by ours."""

        def call_api(self, method, url, *args, **kwargs):
            return super().call_api(method, url.replace("https://messaging.bandwidth.com", facts["url"]), *args, **kwargs)

    settings = bandwidth.Configuration(
        client_id="c-1",
        client_secret="a secret for tests",
        access_token_url=facts["url"] + "/api/v1/oauth2/token",
    )
    api = bandwidth.MessagesApi(LocalClient(settings))
    request = bandwidth.MessageRequest(
        application_id=facts["application_id"], to=["+12025550101"], var_from="+12025550106", text="Hi ✓", tag="t"
    )
    sent = api.create_message("5555555", request)
    check("the tag is lost", sent.tag == "t")
    found = api.list_messages(
        "5555555", source_tn="+12025550106", destination_tn="+12025550101", from_date_time="2026-01-01T00:00:00Z"
    )
    check("the message is not found", any(m.message_id == sent.id for m in found.messages))
    for callback in facts["callbacks"]:
        for event in json.loads(callback):
            model = bandwidth.StatusCallback if event["type"] != "message-received" else bandwidth.InboundCallback
            check(f"an event of the type {event['type']}", model.from_dict(event) is not None)


def main():
    facts = json.load(sys.stdin)
    telnyx_judges(facts["telnyx"])
    bandwidth_judges(facts["bandwidth"])
    print("the SDKs are content")


main()
