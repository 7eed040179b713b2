"""One comment of ours on a change, however often the plan is made. Pure but for the forge's calls.

Ours is what bears our mark and was written by whom the token is for. A comment of another with the
mark in it stays what it is: its author could change the plan in it afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class ForgeError(Exception):
    """The forge did not do it. The text has the cure, and no token."""


class NotAllowed(ForgeError):
    """The token may not comment: as in a pull request from a fork."""


@dataclass(frozen=True, slots=True)
class Comment:
    """`own`: by whom the token is for."""

    id: str
    body: str
    own: bool
    url: str = ""


class Forge(Protocol):
    def comments(self) -> Iterator[Comment]:
        """Of the change, oldest first."""
        ...

    def create(self, body: str) -> str:
        """Address of the new comment."""
        ...

    def update(self, comment: Comment, body: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Posted:
    url: str
    sort: str  # "created", "updated", "unchanged"


def post(forge: Forge, body: str, mark: str) -> Posted:
    """Raises ForgeError."""
    ours = next((c for c in forge.comments() if c.own and c.body.startswith(mark)), None)
    if ours is None:
        return Posted(forge.create(body), "created")
    # Forges trim what they store, and some send line ends of their own.
    if _plain(ours.body) == _plain(body):
        return Posted(ours.url, "unchanged")
    return Posted(forge.update(ours, body), "updated")


def _plain(body: str) -> str:
    return body.replace("\r\n", "\n").strip()
