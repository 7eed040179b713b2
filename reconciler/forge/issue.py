"""What the APIs of GitHub and Gitea have in common: a pull request's comments are its issue's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from reconciler.forge.client import Client
    from reconciler.forge.posting import Comment


@dataclass(frozen=True, slots=True)
class IssueComments:
    """`repository`: owner/name. `change`: number of the pull request."""

    client: Client
    repository: str
    change: int

    @property
    def issues(self) -> str:
        return f"/repos/{quote(self.repository)}/issues"

    def create(self, body: str) -> str:
        path = f"{self.issues}/{self.change}/comments"
        return url_of(self.client.call("POST", path, {"body": body}))

    def update(self, comment: Comment, body: str) -> str:
        path = f"{self.issues}/comments/{comment.id}"
        return url_of(self.client.call("PATCH", path, {"body": body}))


def url_of(found: Any) -> str:
    """Where people see it."""
    return str(found.get("html_url", ""))
