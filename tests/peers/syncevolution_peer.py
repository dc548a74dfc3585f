#!/usr/bin/env python3
"""Two-way synchronisation by SyncEvolution: the book is found from the host alone, cards go in both directions, edits
and deletions too.

usage: syncevolution_peer.py --base-url http://127.0.0.1:8080 --user alice --password xxxxx-xxxxx
Needs syncevolution (Debian package). Leaves the personal book as it found it. Exit code 0 when everything agreed.
"""

import argparse
import base64
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request


def card(uid, name, note):
    return (f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:{name}\r\nN:{name};;;;\r\nNOTE:{note}\r\n"
            "TEL;TYPE=CELL:+12025550155\r\nEND:VCARD\r\n")


class Peer:
    def __init__(self, args, folder):
        self.args, self.folder = args, pathlib.Path(folder)
        self.home = f"{args.base_url}/dav/addressbooks/{args.user}/"
        self.local = self.folder / "contacts"
        self.local.mkdir()
        self.environment = {**os.environ, "HOME": folder, "XDG_CONFIG_HOME": f"{folder}/c", "XDG_DATA_HOME": f"{folder}/d",
                            "XDG_CACHE_HOME": f"{folder}/k"}

    def run(self, *words):
        command = ["syncevolution", "--daemon=no", *words]
        done = subprocess.run(command, text=True, capture_output=True, timeout=180, env=self.environment)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def configure(self):
        login = [f"username={self.args.user}", f"password={self.args.password}"]
        found = self.run("--print-databases", "backend=carddav", "loglevel=1", f"syncURL={self.args.base_url}", *login)
        books = [line.strip() for line in found.splitlines() if "/addressbooks/" in line]
        check(any("/personal/" in b for b in books), f"the books are found from the host alone: {books}")
        self.run("--configure", "--keyring=no", "--template", "webdav", f"syncURL={self.args.base_url}", *login,
                 "addressbook/backend=carddav", f"addressbook/database={self.home}personal/", "target-config@phone",
                 "addressbook")
        self.run("--configure", "--keyring=no", "--template", "SyncEvolution_Client", "syncURL=local://@phone",
                 "username=", "password=", "addressbook/backend=file", f"addressbook/database=file://{self.local}",
                 "addressbook/databaseFormat=text/vcard", "addressbook/sync=two-way", "sync@here", "addressbook")

    def sync(self, mode="two-way"):
        return self.run("--sync", mode, "sync@here", "addressbook")

    def file_of(self, text):
        return next((f for f in sorted(self.local.iterdir()) if text in f.read_text()), None)

    def http(self, method, path, body=None, headers=()):
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


def story(peer):
    peer.configure()
    check(peer.http("PUT", "personal/evo-1.vcf", card("evo-1", "Remote One", "made there"))[0] == 201, "PUT")
    peer.sync("slow")
    check(peer.file_of("Remote One"), "a card made on the server is on the phone")

    (peer.local / "own").write_text(card("evo-2", "Local Two", "made here"), newline="")
    peer.sync()
    check("Local Two" in peer.http("GET", "personal/")[1], "a card made on the phone is on the server")

    peer.http("PUT", "personal/evo-1.vcf", card("evo-1", "Remote One", "changed there"))
    local = peer.file_of("Local Two")
    local.write_text(local.read_text().replace("made here", "changed here"), newline="")
    peer.sync()
    check("changed here" in peer.http("GET", "personal/")[1], "a change on the phone is on the server")
    check(peer.file_of("changed there"), "a change on the server is on the phone")

    peer.file_of("Local Two").unlink()
    peer.http("DELETE", "personal/evo-1.vcf")
    peer.sync()
    text = peer.http("GET", "personal/")[1]
    check("Local Two" not in text, "a card deleted on the phone is gone from the server")
    check(not peer.file_of("Remote One"), "a card deleted on the server is gone from the phone")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    args = parser.parse_args()
    args.base_url = args.base_url.rstrip("/")
    with tempfile.TemporaryDirectory() as folder:
        story(Peer(args, folder))
    print("SyncEvolution and Meari agree")


if __name__ == "__main__":
    main()
