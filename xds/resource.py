"""One versioned resource as the xDS protocol carries it, whatever its type.

Owns the value every stage after the builders passes on. Used for Envoy's types (ADS) and,
unchanged, for Kuma's (KDS): the type URL is opaque here. Bytes are shared: a thousand proxies hold
the same `XdsResource` object.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ENDPOINT = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type URL


def digest(parts: Iterable[bytes]) -> str:
    """SHA-256, lowercase hex, of length-framed parts: (b"a", b"bc") and (b"ab", b"c") differ."""
    hasher = hashlib.sha256()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big"))
        hasher.update(part)
    return hasher.hexdigest()


def frames(parts: Iterable[bytes]) -> bytes:
    """What `digest` reads of these parts; for those that keep it."""
    return b"".join(piece for part in parts for piece in (len(part).to_bytes(8, "big"), part))


def digest_of(framed: Iterable[bytes]) -> str:
    """The digest of all parts that these are the frames of."""
    return hashlib.sha256(b"".join(framed)).hexdigest()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class XdsResource:
    """A named, versioned resource, already encoded.

    `entry` is the encoded `envoy.service.discovery.v3.Resource` (name, version, Any): a response is
    a join of entries. Made by `xds.wire.resource()` only, which computes `version` from the body's
    bytes.
    """

    name: str
    version: str
    entry: bytes = field(repr=False)
