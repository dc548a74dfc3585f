"""Two vendors' own SDKs as signers of callbacks and as clients of the fake carriers that the stories use.

Signs callbacks with the vendors' own code and calls a running Meari with them; sends a message through the SDK to the
fake carrier, to see that the fake speaks the vendor's wire.
"""

import argparse
import hashlib
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def call(url, body, headers):
    request = urllib.request.Request(url, data=body.encode(), headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def vonage(options):
    import jwt
    from vonage import Auth, HttpClientOptions, Vonage
    from vonage_jwt.verify_jwt import verify_signature
    from vonage_messages import Sms

    body = json.dumps({
        "channel": "sms", "message_uuid": "cccccccc-0000-4000-8000-000000000001", "to": options.number,
        "from": options.handset, "timestamp": "2026-01-15T12:00:00.000Z", "message_type": "text",
        "text": "Signed by the SDK's own library ✓",
    }, ensure_ascii=False)
    claims = {
        "iat": options.now, "jti": "1", "iss": "Vonage", "api_key": options.key,
        "payload_hash": hashlib.sha256(body.encode()).hexdigest(),
    }
    token = jwt.encode(claims, options.secret, algorithm="HS256")
    assert verify_signature(token, options.secret), "the SDK verifies what we are about to send"
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    assert call(options.door, body, headers) == 200
    assert call(options.door, body.replace("✓", "x"), headers) == 403
    host = urllib.parse.urlparse(options.api_base).netloc
    auth = Auth(application_id=options.application, private_key=open(options.private_key).read())
    client = Vonage(auth, HttpClientOptions(api_host=host))
    # The SDK knows only https; the fake speaks plainly.
    session = client.http_client._session
    send = session.request
    session.request = lambda **params: send(**{**params, "url": params["url"].replace("https://", "http://")})
    answer = client.messages.send(Sms(to=options.handset, from_=options.number, text="From the SDK"))
    assert answer.message_uuid, answer


def plivo(options):
    import plivo
    from plivo.utils.signature_v3 import construct_post_url, get_signature_v3, validate_v3_signature

    fields = {
        "MessageUUID": "cccccccc-0000-4000-8000-000000000002", "From": options.handset, "To": options.number,
        "Text": "Signed by the SDK ✓ & + 한글", "Type": "sms",
    }
    nonce = "05429567804466091622"
    signed = construct_post_url(options.door, fields).decode()
    signature = get_signature_v3(options.secret.encode(), signed, nonce.encode()).decode()
    assert validate_v3_signature("POST", options.door, nonce, options.secret, signature, fields)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded", "X-Plivo-Signature-V3": signature,
        "X-Plivo-Signature-V3-Nonce": nonce,
    }
    body = urllib.parse.urlencode(fields)
    assert call(options.door, body, headers) == 200
    assert call(options.door, body + "&More=1", headers) == 403
    import plivo.rest.client

    plivo.rest.client.PLIVO_API_BASE_URI = f"{options.api_base}/v1/Account"
    client = plivo.RestClient(options.key, options.secret)
    answer = client.messages.create(src=options.number, dst=options.handset, text="From the SDK")
    assert answer.message_uuid, answer


def main():
    parser = argparse.ArgumentParser()
    for name in ("vendor", "door", "api-base", "number", "handset", "secret", "key"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--application")
    parser.add_argument("--private-key")
    parser.add_argument("--now", type=int, default=int(time.time()))
    options = parser.parse_args()
    {"vonage": vonage, "plivo": plivo}[options.vendor](options)
    print(f"{options.vendor}: the SDK is content")


if __name__ == "__main__":
    sys.exit(main())
