"""A revision reaches a zone as a whole: the manifest that says what it consists of; and the report
that comes back.

`RevisionManifest` (down): per zone, the revision and for each global-owned type the digest of its
name -> version
map, as on the wire. The zone takes what it staged into force when its own digests are these.
`ConvergenceReport`
(up): how many proxies have the revision, and who rejected what. Both are JSON resources of global
scope named by the
zone; a real Kuma peer answers either type with an empty response.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.kds.types import MANIFEST, OWNED_TYPES, REPORT
from reconciler.model.resource import ORIGIN, ZONE, canonical_json
from xds.discovery import RemoteProtocolError
from xds.resource import XdsResource, digest_of, frames

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from xds.snapshot import Resources

REJECTIONS_MAX = 100
POLICIES_MAX = 100  # named with one rejection
MESSAGE_MAX = 1000  # characters
BODIES_KEPT = 16  # of a revision, one for each set of features, and what differs by zone


@dataclass(frozen=True, slots=True)
class Manifest:
    revision: str
    digests: Mapping[str, str]  # by type


@dataclass(frozen=True, slots=True, order=True)
class Rejection:
    """What one proxy refused, in Envoy's words, and the policies that shaped it."""

    mesh: str
    proxy: str
    type: str
    message: str
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConvergenceReport:
    """Connected proxies of a zone by what they have of the revision in force."""

    revision: str
    total: int = 0
    acked: int = 0
    pending: int = 0
    rejected: int = 0
    rejections: tuple[Rejection, ...] = ()


def versions_digest(versions: Mapping[str, str]) -> str:
    """Digest of a type's name -> version map; an empty map has one too."""
    return digest_of([versions_frames((name, versions[name]) for name in sorted(versions))])


def versions_frames(versions: Iterable[tuple[str, str]]) -> bytes:
    """What the digest is made of, for names and versions that follow each other by name."""
    return frames(part.encode() for version in versions for part in version)


def resources_digest(resources: Resources) -> str:
    return versions_digest({name: r.version for name, r in resources.items()})


def manifest(zone: str, revision: str, digests: Mapping[str, str]) -> XdsResource:
    """`digests` are of all owned types, empty ones included."""
    body = _body(revision, tuple(digests.items()))
    return encode_carried(CarriedResource(MANIFEST, "", zone, {ORIGIN: "global"}, body))


@lru_cache(maxsize=BODIES_KEPT)
def _body(revision: str, digests: tuple[tuple[str, str], ...]) -> str:
    """Zones to which nobody relays policies are told the same."""
    return canonical_json({"revision": revision, "digests": dict(digests)})


def parse_manifest(entry: bytes) -> Manifest:
    """Raises RemoteProtocolError."""
    data = decode_entry(MANIFEST, entry).data
    revision, digests = data.get("revision"), data.get("digests")
    if not isinstance(revision, str) or not isinstance(digests, dict):
        raise RemoteProtocolError(f"{MANIFEST}: revision and digests are missing")
    return Manifest(revision, cast("dict[str, str]", digests))


def matches(found: Manifest, staged: Callable[[str], str]) -> bool:
    """Whether what is staged (its digest by type) is the manifest's revision, no more and no less.

    A type that a newer global has and this program never asks for cannot be waited for.
    """
    return all(
        staged(type_) == wanted for type_, wanted in found.digests.items() if type_ in OWNED_TYPES
    )


def encode_report(zone: str, report: ConvergenceReport) -> XdsResource:
    body = canonical_json(
        {
            "revision": report.revision,
            "proxies": {
                "total": report.total,
                "acked": report.acked,
                "pending": report.pending,
                "rejected": report.rejected,
            },
            "rejected": [
                {
                    "mesh": r.mesh,
                    "proxy": r.proxy,
                    "type": r.type,
                    "message": r.message[:MESSAGE_MAX],
                    "policies": list(r.policies[:POLICIES_MAX]),
                }
                for r in report.rejections[:REJECTIONS_MAX]
            ],
        }
    )
    labels = {ORIGIN: "zone", ZONE: zone}
    return encode_carried(CarriedResource(REPORT, "", zone, labels, body))


def parse_report(entry: bytes) -> ConvergenceReport:
    """Raises RemoteProtocolError."""
    data = decode_entry(REPORT, entry).data
    try:
        counts = cast("Mapping[str, int]", data["proxies"])
        rejected = cast("list[Mapping[str, str]]", data["rejected"])
        return ConvergenceReport(
            revision=str(data["revision"]),
            total=int(counts["total"]),
            acked=int(counts["acked"]),
            pending=int(counts["pending"]),
            rejected=int(counts["rejected"]),
            rejections=tuple(map(_rejection, rejected[:REJECTIONS_MAX])),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RemoteProtocolError(f"{REPORT}: {error!r}") from error


def _rejection(data: Mapping[str, object]) -> Rejection:
    policies = cast("list[str]", data.get("policies", []))
    texts = (str(data[key])[:MESSAGE_MAX] for key in ("mesh", "proxy", "type", "message"))
    mesh, proxy, type_, message = texts
    return Rejection(mesh, proxy, type_, message, tuple(map(str, policies[:POLICIES_MAX])))
