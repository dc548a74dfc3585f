#!/usr/bin/env python3
"""Two-way synchronisation by vdirsyncer, found from the host alone: both books, edits and deletions on either side,
and a conflict.

usage: vdirsyncer_peer.py --base-url http://127.0.0.1:8080 --user alice --password xxxxx-xxxxx [--vdirsyncer PATH]
Needs vdirsyncer (PyPI). Leaves the personal book as it found it. Exit code 0 when everything agreed.
"""

import argparse
import base64
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

CONFIG = """
[general]
status_path = "{folder}/status/"

[pair phone]
a = "here"
b = "there"
collections = ["from b"]
conflict_resolution = "b wins"
metadata = ["displayname"]

[storage here]
type = "filesystem"
path = "{folder}/books/"
fileext = ".vcf"

[storage there]
type = "carddav"
url = "{base}"
username = "{user}"
password = "{password}"
"""


def card(uid, name, note):
    return (f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nNOTE:{note}\r\n"
            "item1.URL:https://example.org\r\nitem1.X-ABLabel:own\r\nEND:VCARD\r\n")


class Peer:
    def __init__(self, args, folder):
        self.args, self.folder = args, pathlib.Path(folder)
        self.home = f"{args.base_url}/dav/addressbooks/{args.user}/"
        (self.folder / "config").write_text(
            CONFIG.format(folder=folder, base=args.base_url, user=args.user, password=args.password))

    def run(self, *words):
        command = [self.args.vdirsyncer, "-c", str(self.folder / "config"), *words]
        done = subprocess.run(command, input="y\n" * 10, text=True, capture_output=True, timeout=120)
        if done.returncode != 0:
            sys.exit(f"vdirsyncer {' '.join(words)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def sync(self):
        self.run("sync")

    def files(self, book):
        return sorted((self.folder / "books" / book).glob("*.vcf"))

    def file_of(self, book, text):
        return next((f for f in self.files(book) if text in f.read_text()), None)

    def http(self, method, path, body=None):
        request = urllib.request.Request(self.home + path, data=body and body.encode(), method=method)
        token = base64.b64encode(f"{self.args.user}:{self.args.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        if body:
            request.add_header("Content-Type", "text/vcard; charset=utf-8")
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""


def check(truth, sentence):
    if not truth:
        sys.exit(f"FAILED: {sentence}")
    print(f"ok: {sentence}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--vdirsyncer", default="vdirsyncer")
    args = parser.parse_args()
    args.base_url = args.base_url.rstrip("/")
    with tempfile.TemporaryDirectory() as folder:
        story(Peer(args, folder))
    print("vdirsyncer and Meari agree")


def story(peer):
    peer.run("discover")
    books = {p.name for p in (peer.folder / "books").iterdir()}
    check({"messenger", "personal"} <= books, f"both books are found from the host alone: {sorted(books)}")
    peer.sync()
    peer.run("metasync")
    before = len(peer.files("personal"))

    (peer.folder / "books/personal/peer-1.vcf").write_text(card("peer-1", "Local One", "made here"), newline="")
    peer.sync()
    status, text = peer.http("GET", "personal/peer-1.vcf")
    check(status == 200 and "item1.X-ABLabel:own" in text, "a card made on the phone is on the server, whole")

    check(peer.http("PUT", "personal/peer-2.vcf", card("peer-2", "Remote Two", "made there"))[0] == 201, "PUT")
    peer.sync()
    check(peer.file_of("personal", "Remote Two"), "a card made on the server is on the phone")

    local = peer.file_of("personal", "Local One")
    local.write_text(local.read_text().replace("made here", "changed here"), newline="")
    peer.http("PUT", "personal/peer-2.vcf", card("peer-2", "Remote Two", "changed there"))
    peer.sync()
    check("changed here" in peer.http("GET", "personal/peer-1.vcf")[1], "a change on the phone is on the server")
    check(peer.file_of("personal", "changed there"), "a change on the server is on the phone")

    local = peer.file_of("personal", "Local One")
    local.write_text(local.read_text().replace("changed here", "conflict here"), newline="")
    peer.http("PUT", "personal/peer-1.vcf", card("peer-1", "Local One", "conflict there"))
    peer.sync()
    check(peer.file_of("personal", "conflict there") and not peer.file_of("personal", "conflict here"),
          "of two changes the one on the server wins, as configured")

    peer.file_of("personal", "Local One").unlink()
    peer.http("DELETE", "personal/peer-2.vcf")
    peer.sync()
    check(peer.http("GET", "personal/peer-1.vcf")[0] == 404, "a card deleted on the phone is gone from the server")
    check(len(peer.files("personal")) == before, "a card deleted on the server is gone from the phone")

    friends(peer)


def friends(peer):
    friend = peer.file_of("messenger", "IMPP")
    if not friend:
        print("skipped: there is no friend in the messenger's book")
        return
    text = friend.read_text()
    number = next(line for line in text.splitlines() if line.startswith("TEL"))
    changed = text.replace(number, "TEL:+12025550999").replace("END:VCARD", "NOTE:changed on the phone\r\nEND:VCARD")
    friend.write_text(changed, newline="")
    peer.sync()
    peer.sync()
    text = peer.file_of("messenger", "IMPP").read_text()
    check("changed on the phone" in text, "a note on a friend is kept")
    check(number in text and "+12025550999" not in text, "a friend's number is put back")


if __name__ == "__main__":
    main()
