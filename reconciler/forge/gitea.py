"""Gitea and Forgejo (API v1): a pull request's comments are those of its issue, in one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.forge.client import Client
from reconciler.forge.issue import IssueComments, url_of
from reconciler.forge.posting import Comment, ForgeError

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = "scopes write:issue and read:user"


def client(base: str, token: str) -> Client:
    return Client(base, {"Authorization": f"token {token}"}, HINT)


@dataclass(frozen=True, slots=True)
class Gitea(IssueComments):
    def comments(self) -> Iterator[Comment]:
        me = self.client.call("GET", "/user")["login"]
        listed = self.client.call("GET", f"{self.issues}/{self.change}/comments")
        if not isinstance(listed, list):
            raise ForgeError("the comments are no list")
        for found in listed:
            own = (found.get("user") or {}).get("login") == me
            yield Comment(str(found["id"]), str(found.get("body") or ""), own, url_of(found))
