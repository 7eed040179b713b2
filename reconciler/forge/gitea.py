"""Gitea and Forgejo (API v1): a pull request's comments are those of its issue, in one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler.forge.client import Client
from reconciler.forge.posting import Comment, ForgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = "scopes write:issue and read:user"


def client(base: str, token: str) -> Client:
    return Client(base, {"Authorization": f"token {token}"}, HINT)


@dataclass(frozen=True, slots=True)
class Gitea:
    """`repository`: owner/name. `change`: number of the pull request."""

    client: Client
    repository: str
    change: int

    @property
    def _issues(self) -> str:
        return f"/repos/{quote(self.repository)}/issues"

    def comments(self) -> Iterator[Comment]:
        me = self.client.call("GET", "/user")["login"]
        listed = self.client.call("GET", f"{self._issues}/{self.change}/comments")
        if not isinstance(listed, list):
            raise ForgeError("the comments are no list")
        for found in listed:
            own = (found.get("user") or {}).get("login") == me
            yield Comment(str(found["id"]), str(found.get("body") or ""), own, _url(found))

    def create(self, body: str) -> str:
        path = f"{self._issues}/{self.change}/comments"
        return _url(self.client.call("POST", path, {"body": body}))

    def update(self, comment: Comment, body: str) -> str:
        path = f"{self._issues}/comments/{comment.id}"
        return _url(self.client.call("PATCH", path, {"body": body}))


def _url(found: Any) -> str:
    return str(found.get("html_url", ""))
