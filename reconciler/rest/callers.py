"""Who asks the HTTP API, by user token (facts/http-api.md 4). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.ca.tokens import Refused as BadToken
from reconciler.ca.tokens import verify_user

if TYPE_CHECKING:
    from collections.abc import Mapping

ADMIN = "mesh-system:admin"
AUTHENTICATED = "mesh-system:authenticated"
SCHEME = "Bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    groups: tuple[str, ...]

    @property
    def is_known(self) -> bool:
        return AUTHENTICATED in self.groups

    @property
    def is_admin(self) -> bool:
        return ADMIN in (self.name, *self.groups)


ANONYMOUS = Caller("mesh-system:anonymous", ("mesh-system:unauthenticated",))


def caller_of(
    authorization: str | None,
    keys: Mapping[str, bytes],
    revoked: frozenset[str],
    now: float,
) -> Caller | BadToken:
    """Another scheme than Bearer is no authentication; a token that is not good is refused."""
    if authorization is None or not authorization.startswith(SCHEME):
        return ANONYMOUS
    claims = verify_user(authorization.removeprefix(SCHEME), keys, now, revoked)
    if isinstance(claims, BadToken):
        return claims
    return Caller(claims.name, (*claims.groups, AUTHENTICATED))
