"""A small HTTP application of the demo: says who it is, and can call another service through its
sidecar.

    python -m reconciler.demo.app --service backend --zone east --version v1 --port 8080
    python -m reconciler.demo.app --service frontend --zone east --port 8081 --upstream
    127.0.0.1:10001

`GET /` and any other path answer JSON: who answered and the headers it received. `GET /slow?ms=400`
answers after that time. `GET /call?path=/slow` calls the upstream and answers what came back.
Standard library only: it stands for somebody's application, and starts quickly.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

CALL_TIMEOUT_S = 5.0
SLOW_MS_MAX = 10_000


class Handler(BaseHTTPRequestHandler):
    """One request; the application's own facts are on the server object."""

    protocol_version = "HTTP/1.1"
    server: App
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/call" and self.server.upstream:
            self._answer(200, self._called(query.get("path", ["/"])[0]))
            return
        if url.path == "/slow":
            time.sleep(min(int(query.get("ms", ["0"])[0]), SLOW_MS_MAX) / 1000)
        self._answer(200, {**self.server.facts, "path": url.path, "headers": dict(self.headers)})

    def _called(self, path: str) -> dict[str, object]:
        """One call to the upstream, with how it went: status 0 means that no HTTP answer came."""
        host, _, port = self.server.upstream.rpartition(":")
        started = time.time()
        connection = http.client.HTTPConnection(host, int(port), timeout=CALL_TIMEOUT_S)
        try:
            connection.request("GET", path, headers={"x-demo-canary": "readable-in-plaintext"})
            response = connection.getresponse()
            body = response.read()
            status, headers = response.status, dict(response.getheaders())
        except (OSError, http.client.HTTPException) as error:
            status, headers, body = 0, {}, str(error).encode()
        finally:
            connection.close()
        return {
            "started": started,
            "ended": time.time(),
            "status": status,
            "headers": headers,
            "body": body.decode(errors="replace"),
        }

    def _answer(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Quiet: the tour reports what matters."""


class App(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], facts: dict[str, object], upstream: str) -> None:
        self.facts = facts
        self.upstream = upstream
        super().__init__(address, Handler)


def main() -> None:
    parser = argparse.ArgumentParser(description="a small application of the demo")
    parser.add_argument("--service", required=True)
    parser.add_argument("--zone", required=True)
    parser.add_argument("--version", default="v1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", default="", help="host:port of the sidecar's outbound")
    args = parser.parse_args()
    facts: dict[str, object] = {
        "service": args.service,
        "zone": args.zone,
        "version": args.version,
    }
    App(("127.0.0.1", args.port), facts, args.upstream).serve_forever()


if __name__ == "__main__":
    main()
