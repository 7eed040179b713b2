"""An application of a network test, which knows nothing of any mesh: HTTP and lines of text, on
every address of its host. Standard library only, and nothing of this project.

    python network_app.py --says east --http 8080 --tcp 9000

HTTP answers JSON: what it says, who called, the path and the headers; `/fail` with 503. TCP answers
each line with what it says, who called, and the line.
"""

from __future__ import annotations

import argparse
import json
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answer = {
            "says": SAYS[0],
            "caller": plain(self.client_address[0]),
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        body = json.dumps(answer).encode()
        self.send_response(503 if self.path.startswith("/fail") else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Quiet."""


class Lines(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(f"{SAYS[0]} {plain(self.client_address[0])} ".encode() + line)


class Http(ThreadingHTTPServer):
    address_family = socket.AF_INET6  # and IPv4 with it
    request_queue_size = 128


class Tcp(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


SAYS: list[str] = []


def plain(address: str) -> str:
    return address.removeprefix("::ffff:")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--says", required=True)
    parser.add_argument("--http", type=int, action="append", default=[])
    parser.add_argument("--tcp", type=int, action="append", default=[])
    args = parser.parse_args()
    SAYS.append(args.says)
    servers: list[socketserver.BaseServer] = [Http(("::", port), Pages) for port in args.http]
    servers += [Tcp(("::", port), Lines) for port in args.tcp]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
