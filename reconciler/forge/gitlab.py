"""GitLab (REST API v4): notes of a merge request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from reconciler.forge.client import Client
from reconciler.forge.posting import Comment

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = "scope api, role Reporter or more; CI_JOB_TOKEN cannot comment"


def client(base: str, token: str) -> Client:
    return Client(base, {"PRIVATE-TOKEN": token}, HINT)


@dataclass(frozen=True, slots=True)
class GitLab:
    """`project`: its number or path. `change`: the merge request's iid. `page`: where people see
    it.
    """

    client: Client
    project: str
    change: int
    page: str = ""

    @property
    def _notes(self) -> str:
        return f"/projects/{quote(self.project, safe='')}/merge_requests/{self.change}/notes"

    def comments(self) -> Iterator[Comment]:
        me = self.client.call("GET", "/user")["id"]
        for found in self.client.pages(self._notes, sort="asc", order_by="created_at"):
            own = (found.get("author") or {}).get("id") == me and not found.get("system")
            yield Comment(
                str(found["id"]), str(found.get("body") or ""), own, self._url(found["id"])
            )

    def create(self, body: str) -> str:
        return self._url(self.client.call("POST", self._notes, {"body": body})["id"])

    def update(self, comment: Comment, body: str) -> str:
        found = self.client.call("PUT", f"{self._notes}/{comment.id}", {"body": body})
        return self._url(found["id"])

    def _url(self, note: object) -> str:
        return f"{self.page}#note_{note}" if self.page else ""
