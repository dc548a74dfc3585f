#!/usr/bin/env python3
"""Reads a push as a browser would, with other people's libraries: http-ece decrypts it, py-vapid checks who sent it.

usage: webpush_peer.py < push.json, with private_key (32 bytes), auth_secret, body (all base64url) and authorization.
Prints what the push says.
"""

import base64
import json
import sys

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


push = json.load(sys.stdin)
scheme, _, words = push["authorization"].partition(" ")
words = dict(word.strip().split("=", 1) for word in words.split(","))
signed, _, signature = words["t"].rpartition(".")
if scheme != "vapid" or not Vapid02.from_raw_public(words["k"].encode()).verify_token(signed.encode(), signature):
    sys.exit("the signature is not good")
private_key = ec.derive_private_key(int.from_bytes(decoded(push["private_key"]), "big"), ec.SECP256R1())
said = http_ece.decrypt(decoded(push["body"]), private_key=private_key, auth_secret=decoded(push["auth_secret"]),
                        version="aes128gcm")
sys.stdout.buffer.write(said)
