"""Who a caller of KDS is, and for how long: by its zone token, or by its address where the
repository lists a zone that cannot send one. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from reconciler.ca import keys, tokens

if TYPE_CHECKING:
    from reconciler.repository_settings import RepositorySettings
    from reconciler.state import MeshState

CURE = "issue a join file with `reconciler token zone`"
RESERVED = "global"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A gRPC status number, never 0, and what the zone is told."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opens a stream, as its headers say. Nothing here is proven yet."""

    zone: str  # client-id
    authorization: str | None = field(repr=False)
    features: tuple[str, ...]
    peer: str


@dataclass(frozen=True, slots=True)
class Proof:
    """`identity` is equal for callers that proved the same; `expires`: seconds since the epoch."""

    identity: str
    token_id: str = ""
    kid: str = ""
    expires: float = math.inf
    address: str = ""  # of a zone without a token

    @property
    def has_token(self) -> bool:
        return bool(self.kid)


@dataclass(frozen=True, slots=True)
class ZoneKeys:
    """What a revision says of who may come in."""

    known: tuple[tuple[str, bytes], ...] = ()  # by kid
    revoked: frozenset[str] = frozenset()


def zone_keys(resources: MeshState) -> ZoneKeys:
    known = keys.keys_of(resources, "GlobalSecret", "", keys.ZONE_PUBLIC_KEY)
    revoked = keys.revoked(resources, "GlobalSecret", "", keys.ZONE_REVOCATIONS)
    return ZoneKeys(tuple(sorted(known.items())), revoked)


def prove(
    found: ZoneKeys,
    settings: RepositorySettings,
    zone: str,
    authorization: str | None,
    peer: str,
    now: float,
) -> Proof | str:
    """What the caller proves, or why it is not let in, with the cure."""
    if zone == RESERVED:
        return f'"{RESERVED}" is the name of the global; give the zone another'
    if not authorization:
        address = peer_address(peer)
        if address is not None and _is_listed(settings, zone, address):
            return Proof(f"address:{address}", address=str(address))
        if any(entry.zone == zone for entry in settings.tokenless):
            where = address or peer
            return (
                f'zone "{zone}": no token was sent, and kds.tokenless in reconciler.yaml does not '
                f"list it from {where}; add that network, or {CURE}"
            )
        return (
            f'zone "{zone}": no token was sent; list a zone of Kuma, which has none, in '
            f"kds.tokenless of reconciler.yaml, or {CURE}"
        )
    verdict = tokens.verify(authorization or "", dict(found.known), now, found.revoked)
    if isinstance(verdict, tokens.Claims):
        verdict = tokens.allows_zone(verdict, zone, "cp") or verdict
    if isinstance(verdict, tokens.Refused):
        return f'zone "{zone}": {verdict.reason}; {CURE}'
    return Proof(f"zone-token:{verdict.zone}", verdict.token_id, verdict.kid, verdict.expires)


def lapsed(
    found: ZoneKeys, settings: RepositorySettings, zone: str, proof: Proof, now: float
) -> str | None:
    """Why a proof that let a stream in does not any more."""
    if proof.address:
        if _is_listed(settings, zone, ip_address(proof.address)):
            return None
        return (
            f'zone "{zone}" is not listed from {proof.address} in kds.tokenless of reconciler.yaml '
            f"any more; add that network, or {CURE}"
        )
    if not proof.has_token:
        return None
    if now >= proof.expires:
        return f'zone "{zone}": the token has expired; {CURE}'
    if proof.token_id in found.revoked:
        return f'zone "{zone}": the token is revoked; {CURE}'
    if proof.kid not in dict(found.known):
        return f'zone "{zone}": the key that signed the token (kid {proof.kid}) is gone; {CURE}'
    return None


def _is_listed(settings: RepositorySettings, zone: str, address: IPv4Address | IPv6Address) -> bool:
    return any(entry.zone == zone and address in entry.network for entry in settings.tokenless)


def peer_address(peer: str) -> IPv4Address | IPv6Address | None:
    """Of gRPC's name of a peer: `ipv4:10.0.0.1:443`, `ipv6:[::1]:443` with brackets as %5B and %5D.

    An IPv4 peer of a socket for both is that IPv4 address.
    """
    family, _, rest = peer.replace("%5B", "[").replace("%5D", "]").partition(":")
    if family not in ("ipv4", "ipv6"):
        return None
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        found = ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
