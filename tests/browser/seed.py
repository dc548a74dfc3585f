"""Fills a fresh installation with much: a month of SMS and a pool that fills up for the console, a conversation of
100,000 messages and 10,000 contacts for the budgets. Called by installation.mjs: seed.py BINARY CONFIG DATABASE."""

import os
import random
import sqlite3
import subprocess
import sys
import time

binary, config, database = sys.argv[1:]
PASSWORD = "correct horse battery"
MESSAGES, CONTACTS = 100_000, 10_000
HOUR = 3_600_000_000
chance = random.Random(7)
now = time.time_ns() // 1000
count = 0


def key(at):
    """A UUIDv7 of that instant that sorts after the one before."""
    global count
    count += 1
    return (at // 1000).to_bytes(6, "big") + bytes([0x70, 0, 0x80]) + count.to_bytes(4, "big") + os.urandom(3)


def create(handle, name, *more):
    subprocess.run([binary, "accounts", "create", handle, "--display-name", name, "--password-stdin", "--config", config, *more],
                   input=PASSWORD.encode(), check=True, stdout=subprocess.DEVNULL)


create("olga", "Olga Operator", "--admin")
create("lee", "Lee")
create("moe", "Moe")

db = sqlite3.connect(database)
account = lambda handle: db.execute("SELECT id FROM accounts WHERE handle = ?", [handle]).fetchone()[0]
olga, lee, mo = account("olga"), account("lee"), account("moe")


def sms(at, state, error=None, attempts=1, purpose="message"):
    row = key(at)
    sid = None if state in ("queued", "unknown") else f"SM{count:032x}"
    db.execute("INSERT INTO outbound_sms (id, purpose, order_key, carrier_id, from_number, to_number, text, state, segment_count,"
               " attempts, carrier_message_id, error_code, created_at, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
               [row, purpose, f"k{count}", "main", f"+12025550{150 + count % 50}", f"+12025550{100 + count % 40}", "(seed)", state,
                1 + count % 3 // 2, attempts, sid, error, at, at + 2_400_000])
    if sid:
        db.execute("INSERT INTO carrier_callbacks VALUES ('main', 3, ?, '', ?, ?)", [sid, row, at + 180_000])
        db.execute("INSERT INTO carrier_callbacks VALUES ('main', 2, ?, ?, ?, ?)", [sid, state, row, at + 2_400_000])


def month():
    for hours in range(720, 0, -1):
        busy = 2 + int(5 * abs(12 - (hours % 24)) / 12)
        for _ in range(chance.randrange(busy)):
            at = now - hours * HOUR + chance.randrange(HOUR)
            lot = chance.random()
            if lot < 0.9:
                sms(at, "delivered", purpose=chance.choice(["message"] * 5 + ["verification"]))
            elif lot < 0.96:
                sms(at, "sent")
            elif lot < 0.985:
                sms(at, "undelivered", "handset_absent")
            else:
                sms(at, "failed", "opted_out")
            if chance.random() < 0.8:
                came = at + chance.randrange(HOUR // 2)
                said(key(came), mo, lee, "sms", "chat", "(seed)", "received", came)
    for minutes in (3, 17, 44):
        sms(now - minutes * 60_000_000, "unknown", "timed_out")
    # Long ago and far ahead: the worker leaves them alone while somebody looks.
    for error in ("carrier_refuses_credentials", "too_many_attempts"):
        db.execute("INSERT INTO jobs VALUES (?, 'send_sms', NULL, '{}', 'dead', ?, 12, NULL, ?, ?)", [key(now), now - HOUR, error, now - 2 * HOUR])


def said(row, sender, recipient, source, via, text, state, at):
    db.execute("INSERT INTO messages (id, conversation_id, sender_account_id, recipient_account_id, source, via, text, state, sent_at, updated_at)"
               " VALUES (?,?,?,?,?,?,?,?,?,?)", [row, elsewhere, sender, recipient, source, via, text, state, at, at])


def pool():
    numbers = [row[0] for row in db.execute("SELECT id FROM numbers ORDER BY number")]
    for index, number in enumerate(numbers[:38]):
        at = now - (37 - index) * 18 * HOUR
        db.execute("INSERT INTO assignments VALUES (?, ?, ?, ?, 'active', ?, NULL, NULL)", [olga, key(at), number, key(at), at])


def contact(owner, row, address, name, peer, peer_row, conversation):
    db.execute("INSERT INTO contacts (account_id, id, network, address, peer_account_id, peer_contact_id, display_name, state, number_state,"
               " hidden_on_phone, conversation_id, created_at, updated_at) VALUES (?,?,'meari',?,?,?,?,'accepted','none',0,?,?,?)",
               [owner, row, address, peer, peer_row, name, conversation, now, now])


def crowd():
    firsts = ["Ada", "Ben", "Cho", "Dina", "Eun", "Femi", "Gita", "Hugo", "Ines", "Jun", "Kofi", "Lena", "Min", "Noor", "Olu", "Pia"]
    lasts = ["Abe", "Bauer", "Cruz", "Diallo", "Eriksen", "Fofana", "Garcia", "Han", "Ito", "Jansen", "Kim", "Lopez", "Mehta", "Novak", "Okoye", "Park"]
    for index in range(CONTACTS - 1):
        contact(lee, key(now), f"p{index:05}", f"{chance.choice(firsts)} {chance.choice(lasts)} {index:05}", None, None, None)


def long_conversation():
    talk, ours, theirs = key(now - 900 * 24 * HOUR), key(now), key(now)
    contact(lee, ours, "moe", "Moe", mo, theirs, talk)
    contact(mo, theirs, "lee", "Lee", lee, ours, talk)
    db.execute("INSERT INTO conversations VALUES (?, ?)", [talk, now - 900 * 24 * HOUR])
    words = "the bread is in the oven and somebody has to look after it before the bell rings again".split()
    rows = []
    for index in range(MESSAGES):
        at = now - (MESSAGES - index) * 12 * 60_000_000
        text = f"{index + 1}: " + " ".join(chance.choices(words, k=chance.randrange(1, 40)))
        if index == 16:
            text = "17: a postcard from Zanzibar"
        pair = (lee, mo) if chance.random() < 0.5 else (mo, lee)
        rows.append([key(at), talk, *pair, "chat", "chat", text, "read", at, at])
    db.executemany("INSERT INTO messages (id, conversation_id, sender_account_id, recipient_account_id, source, via, text, state, sent_at, updated_at)"
                   " VALUES (?,?,?,?,?,?,?,?,?,?)", rows)
    last = rows[-1]
    for owner, of in ((lee, ours), (mo, theirs)):
        db.execute("INSERT INTO conversation_members VALUES (?, ?, ?, 0, ?, ?, ?)", [owner, talk, of, last[0], last[0], last[-1]])


elsewhere = key(now)
month()
pool()
crowd()
long_conversation()
db.commit()
