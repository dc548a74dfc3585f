#!/usr/bin/env python3
"""litmus, the WebDAV test suite, against address books.

litmus writes files with any text, and an address book takes vCards only. So it talks to a proxy of ours that puts each
text into a card of its own and takes it out again; everything else passes through as it is.

usage: litmus_peer.py --base-url http://127.0.0.1:8080 --user alice --password xxxxx-xxxxx [--litmus PATH]
Needs litmus (Debian package). Works in a book of its own. Exit code 0 when all passed that can apply to address books.
"""

import argparse
import base64
import http.client
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import uuid

# What cannot pass: an address book holds no collections (RFC 6352 5.2), and no two cards with one UID (6.3.2.1), so a
# copy stays in no book beside its original.
NOT_FOR_ADDRESS_BOOKS = {
    "basic": {"delete_fragment", "mkcol", "mkcol_again", "delete_coll"},
    "http": set(),
    "props": set(),
    "copymove": {"copy_init", "copy_simple", "copy_overwrite", "copy_nodestcoll", "copy_coll", "copy_shallow", "move",
                 "move_coll"},
    "locks": {"precond"},
}
RESULT = re.compile(rb"^\s*\d+\. ([a-z0-9_]+)\.+ .*?(pass|FAIL|SKIPPED)", re.S)


def wrapped(text, uid):
    body = base64.b64encode(text).decode()
    return (f"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:{uid}\r\nFN:litmus\r\nN:litmus;;;;\r\n"
            f"X-LITMUS:{body}\r\nEND:VCARD\r\n").encode()


def unwrapped(card):
    found = re.search(rb"X-LITMUS:([^\r\n]*)", card)
    return base64.b64decode(found.group(1)) if found else card


class Proxy(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    base = None

    def ask(self, method, path, headers, body):
        connection = http.client.HTTPConnection(self.base.hostname, self.base.port, timeout=30)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer, answer.read()

    def uid_at(self, path, headers):
        answer, card = self.ask("GET", path, {"Authorization": headers.get("Authorization", "")}, None)
        found = re.search(rb"UID:([^\r\n]*)", card) if answer.status == 200 else None
        return found.group(1).decode() if found else str(uuid.uuid4())

    def forward(self):
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "expect", "te")}
        here = f"http://{self.headers['Host']}"
        if headers.get("Destination", "").startswith(here):
            headers["Destination"] = self.base.geturl() + headers["Destination"][len(here):]
        if self.command == "PUT":
            body = wrapped(body, self.uid_at(self.path, headers))
            headers["Content-Type"] = "text/vcard"
        headers["Content-Length"] = str(len(body))
        answer, text = self.ask(self.command, self.path, headers, body)
        if self.command == "GET" and answer.status == 200:
            text = unwrapped(text)
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, *words):
        pass


for word in ("OPTIONS GET HEAD PUT POST DELETE MKCOL COPY MOVE PROPFIND PROPPATCH REPORT LOCK UNLOCK").split():
    setattr(Proxy, f"do_{word}", Proxy.forward)


def results(litmus, suite, url, user, password, folder):
    """Runs one suite and answers (name, verdict) of each test."""
    env = dict(os.environ, TESTS=suite)
    done = subprocess.run([litmus, "-k", url, user, password], cwd=folder, env=env, capture_output=True, timeout=300)
    found = []
    for line in done.stdout.splitlines():
        # A test that warns writes its line in pieces, divided by carriage returns.
        for part in line.split(b"\r"):
            match = RESULT.match(part)
            if match:
                found.append((match.group(1).decode(), match.group(2).decode(), part.decode(errors="replace").strip()))
    if not found:
        sys.exit(f"litmus said nothing that can be read:\n{done.stdout.decode(errors='replace')}{done.stderr}")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--litmus", default="litmus")
    args = parser.parse_args()
    Proxy.base = urllib.parse.urlparse(args.base_url)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    # litmus closes connections in the middle of answers that it does not need.
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/dav/addressbooks/{args.user}/"
    failed, passed = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for suite, excused in NOT_FOR_ADDRESS_BOOKS.items():
            for name, verdict, line in results(args.litmus, suite, url, args.user, args.password, folder):
                if verdict == "pass":
                    passed += 1
                elif name in excused:
                    print(f"{suite}: {name} is not for address books")
                else:
                    failed.append(f"{suite}: {line}")
    server.shutdown()
    print(f"litmus: {passed} passed")
    if failed:
        sys.exit("litmus failed:\n" + "\n".join(failed))


main()
