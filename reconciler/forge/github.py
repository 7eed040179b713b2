"""GitHub (REST API 2022-11-28): a pull request's comments are those of its issue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.forge.client import Client
from reconciler.forge.issue import IssueComments, url_of
from reconciler.forge.posting import Comment, NotAllowed

if TYPE_CHECKING:
    from collections.abc import Iterator

API_VERSION = "2022-11-28"
ACTIONS = "github-actions[bot]"
HINT = "permissions of the job: pull-requests: write"


def client(base: str, token: str) -> Client:
    headers = {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": API_VERSION,
        "Authorization": f"Bearer {token}",
    }
    return Client(base, headers, HINT)


@dataclass(frozen=True, slots=True)
class GitHub(IssueComments):
    author: str = ""  # of our comments; a job's own token cannot tell

    def comments(self) -> Iterator[Comment]:
        me = self._me()
        for found in self.client.pages(f"{self.issues}/{self.change}/comments"):
            own = str((found.get("user") or {}).get("login", "")) == me
            yield Comment(str(found["id"]), str(found.get("body") or ""), own, url_of(found))

    def _me(self) -> str:
        """A job's own token is an app's, which has no user to ask for."""
        if self.author:
            return self.author
        try:
            return str(self.client.call("GET", "/user")["login"])
        except NotAllowed:
            return ACTIONS
