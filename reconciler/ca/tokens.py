"""Tokens of proxies and zones: RS256 JWTs in Kuma's form (facts/dataplane-wire.md 1.7).

Verification gives a value, `Claims` or `Refused`: a bad token is an answer, not an exception. Only
RS256 is taken, `kid` is mandatory, and times are checked against the `now` that the caller passes.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import jwt

from reconciler.ca.reading import rsa_public_key

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM = "RS256"
FIRST_KID = "1"
BACKDATE_S = 5
TOKEN_MAX = 16_384  # characters
TOKENS_KEPT = 256  # whose signature was found to be good; all else is looked at each time
# Each mesh, and each kind of token, has keys of its own, whose kids begin with "1".
FOREIGN = (
    "the token is not signed by the key that it names (kid {}): it is of another mesh, of another "
    "control plane, or of another kind (dataplane, zone, user)"
)
# Kuma's own words, which its users search for.
OTHER = "requestor: {} is different than in token: {}"  # codespell:ignore requestor


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
    groups: tuple[str, ...] = ()  # of a user token
    type: str = ""  # of a dataplane token: the proxy type, "dataplane" or empty
    kid: str = ""  # of the key that verified it
    signed_by: str = ""  # that key's fingerprint
    issued_at: float = 0.0  # `iat`, else `nbf`; 0: the token does not say
    expires: float = math.inf


@dataclass(frozen=True, slots=True)
class Refused:
    reason: str


Verdict = Claims | Refused


def issue(
    key_pem: bytes,
    claims: Mapping[str, object],
    now: float,
    valid_s: float,
    kid: str = FIRST_KID,
) -> str:
    """A token with these claims (Kuma's capitalised names), signed by the key of this kid."""
    registered = {
        "jti": str(uuid.uuid4()),
        "iat": int(now) - BACKDATE_S,
        "nbf": int(now) - BACKDATE_S,
        "exp": int(now + valid_s),
    }
    return jwt.encode({**claims, **registered}, key_pem, algorithm=ALGORITHM, headers={"kid": kid})


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


def user_claims(name: str, groups: tuple[str, ...] = ()) -> dict[str, object]:
    return {"Name": name, "Groups": list(groups)}


def verify_user(
    token: str, keys: Mapping[str, bytes], now: float, revoked: frozenset[str] = frozenset()
) -> Verdict:
    """As `verify`, for who uses the HTTP API: the token names somebody."""
    found = verify(token, keys, now, revoked)
    if isinstance(found, Claims) and (not found.name or found.scope or found.mesh):
        return Refused("this is no user token")
    return found


def verify(
    token: str, keys: Mapping[str, bytes], now: float, revoked: frozenset[str] = frozenset()
) -> Verdict:
    """Signature, kid, times and revocation. `keys` are public or private keys by kid, as PEM or as
    the DER that Kuma's secrets may hold.
    """
    if not token:
        return Refused("no token was sent")
    if len(token) > TOKEN_MAX:
        return Refused(f"the token has over {TOKEN_MAX} characters")
    try:
        kid = jwt.get_unverified_header(token).get("kid")
        if not isinstance(kid, str) or kid not in keys:
            return Refused(f"the token is signed with an unknown key (kid {kid!r})")
        data = _signed(token, keys[kid])
    except jwt.InvalidSignatureError:
        return Refused(FOREIGN.format(repr(kid)))
    except jwt.PyJWTError as error:
        return Refused(f"the token is not valid: {error}")
    except ValueError as error:  # A key that cannot be read, or a token of no text.
        return Refused(f"the token cannot be verified: {error}")
    late = _outside(data, now)
    if late is not None:
        return Refused(late)
    if data.get("jti") in revoked:
        return Refused("the token is revoked")
    claims = _claims(data, kid)
    return (
        claims if isinstance(claims, Refused) else replace(claims, signed_by=fingerprint(keys[kid]))
    )


@lru_cache(maxsize=TOKENS_KEPT)
def _signed(token: str, key: bytes) -> Mapping[str, object]:
    """What the token says, signed by this key. Raises PyJWTError and ValueError.

    A proxy shows one token for each of its streams, within moments.
    """
    public = rsa_public_key(key)
    data: Mapping[str, object] = jwt.decode(token, public, algorithms=[ALGORITHM], options=_OPTIONS)
    return data


def fingerprint(key: bytes) -> str:
    """Names a key without being it."""
    return hashlib.sha256(key).hexdigest()


_OPTIONS = cast(
    "jwt.types.Options",
    {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "require": ["exp"]},
)


def _outside(data: Mapping[str, object], now: float) -> str | None:
    expires, not_before = _time(data.get("exp")), _time(data.get("nbf", 0))
    if expires is None or not_before is None:
        return "the token's times are not numbers"
    if now >= expires:
        return "the token has expired; issue a new one"
    return "the token is not valid yet" if now < not_before else None


def _time(value: object) -> float | None:
    """NaN would never expire, so it is no time."""
    match value:
        case bool():
            return None
        case int():
            return value
        case float() if math.isfinite(value):
            return value
        case _:
            return None


def _claims(data: Mapping[str, object], kid: str) -> Verdict:
    tags, scope = data.get("Tags") or {}, data.get("Scope") or []
    groups = data.get("Groups") or []
    texts = {name: data.get(name) or "" for name in ("Name", "Mesh", "Workload", "Zone", "Type")}
    if (
        not isinstance(tags, dict)
        or not all(map(_is_texts, (scope, groups, *tags.values())))
        or not all(isinstance(text, str) for text in texts.values())
    ):
        return Refused("the token's claims have another form than Kuma's")
    return Claims(
        token_id=str(data.get("jti") or ""),
        issued_at=_time(data.get("iat", data.get("nbf"))) or 0.0,
        name=str(texts["Name"]),
        mesh=str(texts["Mesh"]),
        tags={str(key): tuple(values) for key, values in tags.items()},
        workload=str(texts["Workload"]),
        zone=str(texts["Zone"]),
        scope=tuple(cast("list[str]", scope)),
        groups=tuple(cast("list[str]", groups)),
        type=str(texts["Type"]),
        kid=kid,
        expires=_time(data.get("exp")) or math.inf,
    )


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


# --- what a valid token allows ---


def allows_dataplane(
    claims: Claims,
    mesh: str,
    name: str,
    tag_values: Mapping[str, frozenset[str]],
    workload: str = "",
) -> Refused | None:
    """A dataplane token against the proxy that shows it; `tag_values` are those of all its
    inbounds, `workload` is its label `kuma.io/workload`. Absent claims allow any value: the key
    that verified the token is already the mesh's own.
    """
    if claims.scope or claims.zone:
        return Refused("this is a zone token, not a dataplane token")
    if claims.type not in ("", "dataplane"):
        return Refused(f'the token is for the proxy type "{claims.type}", not for a dataplane')
    if claims.workload and claims.workload != workload:
        return Refused(
            f'the token is for the workload "{claims.workload}", which the label kuma.io/workload '
            f'of the dataplane must name; it is "{workload}"'
        )
    if claims.name and claims.name != name:
        return Refused(f"proxy name from {OTHER.format(name, claims.name)}")
    if claims.mesh and claims.mesh != mesh:
        return Refused(f"proxy mesh from {OTHER.format(mesh, claims.mesh)}")
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
