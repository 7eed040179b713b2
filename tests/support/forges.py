"""Stand-ins for the APIs of GitHub, GitLab and Gitea: they take the documented calls on comments,
record them, and fail the test for any other.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOKEN = "a-token-of-a-test"
ME, OTHER = 7, 8


@dataclass
class ForgeState:
    """`comments`: (id, author, body). `answers`: statuses to give before anything else, with
    `headers` and the text `said`.
    """

    kind: str
    comments: list[tuple[int, int, str]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=lambda: {"Retry-After": "3"})
    said: bytes = b'{"message": "busy"}'
    may_comment: bool = True
    knows_user: bool = True
    system: bool = False  # notes of GitLab itself
    base: str = ""


# kind -> (method, path) -> what is done
_ROUTES: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "github": (
        ("GET", r"/user", "user"),
        ("GET", r"/repos/acme/mesh/issues/12/comments", "list"),
        ("POST", r"/repos/acme/mesh/issues/12/comments", "create"),
        ("PATCH", r"/repos/acme/mesh/issues/comments/(\d+)", "update"),
    ),
    "gitlab": (
        ("GET", r"/user", "user"),
        ("GET", r"/projects/acme/mesh/merge_requests/12/notes", "list"),
        ("POST", r"/projects/acme/mesh/merge_requests/12/notes", "create"),
        ("PUT", r"/projects/acme/mesh/merge_requests/12/notes/(\d+)", "update"),
    ),
    "gitea": (
        ("GET", r"/user", "user"),
        ("GET", r"/repos/acme/mesh/issues/12/comments", "list"),
        ("POST", r"/repos/acme/mesh/issues/12/comments", "create"),
        ("PATCH", r"/repos/acme/mesh/issues/comments/(\d+)", "update"),
    ),
}
_TOKEN_HEADERS = {
    "github": ("authorization", f"Bearer {TOKEN}"),
    "gitlab": ("private-token", TOKEN),
    "gitea": ("authorization", f"token {TOKEN}"),
}
_LOGINS = {ME: "planner", OTHER: "stranger"}


class _Handler(BaseHTTPRequestHandler):
    state: ForgeState

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PATCH = do_PUT = do_GET  # noqa: N815 - the library's names

    def _serve(self) -> None:
        state = self.state
        length = int(self.headers.get("content-length") or 0)
        payload = json.loads(self.rfile.read(length)) if length else None
        parts = urlsplit(self.path)
        state.calls.append(f"{self.command} {unquote(parts.path)}")
        if state.answers:
            self._send(state.answers.pop(0), state.said, state.headers)
            return
        name, value = _TOKEN_HEADERS[state.kind]
        if self.headers.get(name) != value or not self.headers.get("user-agent"):
            self._answer(401, {"message": "Bad credentials"})
            return
        for method, path, does in _ROUTES[state.kind]:
            found = re.fullmatch(path, unquote(parts.path))
            if method == self.command and found:
                self._do(does, found, parse_qs(parts.query), payload)
                return
        state.faults.append(f"{self.command} {self.path} is no documented call")
        self._answer(404, {"message": "Not Found"})

    def _do(
        self, does: str, found: re.Match[str], query: dict[str, list[str]], payload: Any
    ) -> None:
        state = self.state
        if does == "user":
            if not state.knows_user:
                self._answer(403, {"message": "Resource not accessible by integration"})
                return
            self._answer(200, {"id": ME, "login": _LOGINS[ME]})
        elif does == "list":
            self._answer(200, [self._shown(*row) for row in self._page(query)])
        elif not state.may_comment:
            self._answer(403, {"message": "Resource not accessible by integration"})
        elif not isinstance(payload, dict) or payload.keys() != {"body"}:
            state.faults.append(f"{self.command} with {payload}")
            self._answer(422, {"message": "body is missing"})
        elif does == "create":
            number = 100 + len(state.comments)
            state.comments.append((number, ME, payload["body"]))
            self._answer(201, self._shown(*state.comments[-1]))
        else:
            wanted = int(found[1])
            at = next(i for i, row in enumerate(state.comments) if row[0] == wanted)
            if state.comments[at][1] != ME:
                state.faults.append("a comment of somebody else was changed")
            state.comments[at] = (wanted, state.comments[at][1], payload["body"])
            self._answer(200, self._shown(*state.comments[at]))

    def _page(self, query: dict[str, list[str]]) -> list[tuple[int, int, str]]:
        if self.state.kind == "gitea":
            return self.state.comments  # Its list has no pages.
        if self.state.kind == "gitlab" and query.get("sort") != ["asc"]:
            self.state.faults.append("the newest notes come first")
        size, page = int(query["per_page"][0]), int(query["page"][0])
        return self.state.comments[(page - 1) * size : page * size]

    def _shown(self, number: int, author: int, body: str) -> dict[str, object]:
        who = _LOGINS[author] if self.state.knows_user or author != ME else "github-actions[bot]"
        found: dict[str, object] = {"id": number, "body": body}
        if self.state.kind == "gitlab":
            return {**found, "author": {"id": author, "username": who}, "system": self.state.system}
        at = f"https://forge.example/acme/mesh/pull/12#c{number}"
        return {**found, "user": {"id": author, "login": who}, "html_url": at}

    def _answer(self, status: int, data: object) -> None:
        self._send(status, json.dumps(data).encode(), {})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def forge(kind: str) -> Iterator[ForgeState]:
    """`base` is its API's address. At the end nothing undocumented has been asked for."""
    state = ForgeState(kind)
    handler = type("Handler", (_Handler,), {"state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        state.base = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
    assert state.faults == []
