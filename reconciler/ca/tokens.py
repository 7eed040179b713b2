"""Tokens of proxies and zones: RS256 JWTs in Kuma's form (facts/dataplane-wire.md 1.7).

Verification gives a value, `Claims` or `Refused`: a bad token is an answer, not an exception. Only
RS256 is taken,
`kid` is mandatory, and times are checked against the `now` that the caller passes.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import jwt

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM = "RS256"
FIRST_KID = "1"
BACKDATE_S = 5
TOKEN_MAX = 16_384  # characters
DAY_S = 86400.0


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says."""

    token_id: str = ""
    name: str = ""
    mesh: str = ""
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    workload: str = ""
    zone: str = ""
    scope: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


Verdict = Claims | Refused


def issue(key_pem: bytes, claims: Mapping[str, object], now: float, valid_s: float) -> str:
    """A token with these claims (Kuma's capitalised names), signed as kid 1."""
    registered = {
        "jti": str(uuid.uuid4()),
        "iat": int(now) - BACKDATE_S,
        "nbf": int(now) - BACKDATE_S,
        "exp": int(now + valid_s),
    }
    return jwt.encode(
        {**claims, **registered}, key_pem, algorithm=ALGORITHM, headers={"kid": FIRST_KID}
    )


def dataplane_claims(
    mesh: str, name: str = "", tags: Mapping[str, list[str]] | None = None, workload: str = ""
) -> dict[str, object]:
    return {
        "Name": name,
        "Mesh": mesh,
        "Tags": dict(tags or {}),
        "Type": "dataplane",
        "Workload": workload,
    }


def zone_claims(zone: str, scope: tuple[str, ...]) -> dict[str, object]:
    """`scope` is "cp" for a zone control plane, "ingress" and "egress" for zone proxies."""
    return {"Zone": zone, "Scope": list(scope)}


def verify(
    token: str, keys: Mapping[str, bytes], now: float, revoked: frozenset[str] = frozenset()
) -> Verdict:
    """Signature, kid, times and revocation. `keys` are public or private PEMs by kid."""
    if not token:
        return Refused("no token was sent")
    if len(token) > TOKEN_MAX:
        return Refused(f"the token has over {TOKEN_MAX} characters")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        if not isinstance(kid, str) or kid not in keys:
            return Refused(f"the token is signed with an unknown key (kid {kid!r})")
        data = jwt.decode(token, _public(keys[kid]), algorithms=[ALGORITHM], options=_OPTIONS)
    except jwt.PyJWTError as error:
        return Refused(f"the token is not valid: {error}")
    late = _outside(data, now)
    if late is not None:
        return Refused(late)
    if data.get("jti") in revoked:
        return Refused("the token is revoked")
    return _claims(data)


_OPTIONS = cast(
    "jwt.types.Options",
    {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp"]},
)


def _public(pem: bytes) -> bytes:
    if b"PRIVATE KEY" not in pem:
        return pem
    from reconciler.ca.authority import public_pkcs1_pem

    return public_pkcs1_pem(pem)


def _outside(data: Mapping[str, object], now: float) -> str | None:
    expires, not_before = data.get("exp"), data.get("nbf", 0)
    if not isinstance(expires, int | float) or not isinstance(not_before, int | float):
        return "the token's times are not numbers"
    if now >= expires:
        return "the token has expired; issue a new one"
    return "the token is not valid yet" if now < not_before else None


def _claims(data: Mapping[str, object]) -> Verdict:
    tags, scope = data.get("Tags") or {}, data.get("Scope") or ()
    if not isinstance(tags, dict) or not isinstance(scope, list | tuple):
        return Refused("the token's claims have another form than Kuma's")
    return Claims(
        token_id=str(data.get("jti") or ""),
        name=str(data.get("Name") or ""),
        mesh=str(data.get("Mesh") or ""),
        tags={str(key): tuple(map(str, values)) for key, values in tags.items()},
        workload=str(data.get("Workload") or ""),
        zone=str(data.get("Zone") or ""),
        scope=tuple(map(str, scope)),
    )


# --- what a valid token allows ---


def allows_dataplane(
    claims: Claims, mesh: str, name: str, tag_values: Mapping[str, frozenset[str]]
) -> Refused | None:
    """A dataplane token against the proxy that shows it; `tag_values` are those of all its
    inbounds.
    """
    if claims.scope:
        return Refused("this is a zone token, not a dataplane token")
    if claims.name and claims.name != name:
        return Refused(
            f"proxy name from requestor: {name} is different than in token: {claims.name}"
        )
    if claims.mesh != mesh:
        return Refused(
            f"proxy mesh from requestor: {mesh} is different than in token: {claims.mesh}"
        )
    for tag, allowed in claims.tags.items():
        values = tag_values.get(tag, frozenset())
        if not values:
            return Refused(f'dataplane has no tag "{tag}" required by the token')
        if not values <= set(allowed):
            wrong = ", ".join(sorted(values - set(allowed)))
            return Refused(
                f"dataplane contains tag {tag} with value: {wrong}, which the token does not allow"
            )
    return None


def allows_zone(claims: Claims, zone: str, scope: str) -> Refused | None:
    """A zone token for a zone control plane ("cp") or a zone proxy ("ingress", "egress")."""
    if scope not in claims.scope:
        return Refused(f'the token lacks the scope "{scope}"; issue one that has it')
    if claims.zone and claims.zone != zone:
        return Refused(f'the token is of zone "{claims.zone}", not of "{zone}"')
    if scope == "cp" and not claims.zone:
        return Refused("the token names no zone")
    return None
