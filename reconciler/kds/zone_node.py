"""How a zone introduces itself to the global, in the first request and in every call's headers
(facts/kds-wire.md 1.5, 1.7), and what the global reads from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.fleet import HELD, ID_MAX
from xds.discovery import Node

HASH_SUFFIX = "hash-suffix"  # in the node's metadata and, as a header, for what the zone sends
MANIFESTS = "revision-manifest"  # ours alone: a peer ignores what it does not know
FEATURES = (
    "zone-token",
    HASH_SUFFIX,
    "hg-mz-selector",
    "producer-policy-flow",
    "optional-top-level-target-ref",
    MANIFESTS,
)
KUMA_VERSION = "2.14.3"  # the dialect spoken
MINOR_MAX = 2  # versions that two control planes, or a proxy and its own, may lie apart
CONFIG_MAX = 65_536  # characters kept of a zone's own configuration; Kuma sends 10,000
INSTANCE_MAX = 256  # characters
VERSION_FIELDS = ("version", "gitTag", "gitCommit", "buildDate")


@dataclass(frozen=True, slots=True)
class ZoneFeatures:
    """What a zone announced, as far as it decides what it is sent."""

    hash_suffix: bool = False
    multizone_generators: bool = False
    producer_policies: bool = False
    optional_target: bool = False
    manifests: bool = False  # one of ours: messages may be larger, a Mesh may have several CAs


ALL_FEATURES = ZoneFeatures(True, True, True, True, True)


@dataclass(frozen=True, slots=True)
class Announced:
    """What the first request of a stream says of the zone."""

    features: ZoneFeatures = field(default_factory=ZoneFeatures)
    version: Mapping[str, str] = field(default_factory=dict)  # of kumaCp
    config: str = ""
    instance: str = ""  # the zone's control-plane-id
    cluster: str = ""  # whose keys it holds


def announced(node: Node | None) -> Announced:
    """Only the first request of a stream counts; one that says nothing has no features."""
    metadata = node.metadata if node is not None else {}
    features = metadata.get("features")
    said = frozenset(map(str, features)) if isinstance(features, list | tuple) else frozenset()
    config = str(metadata.get("config") or "")
    return Announced(
        features=ZoneFeatures(
            hash_suffix=HASH_SUFFIX in said,
            multizone_generators="hg-mz-selector" in said,
            producer_policies="producer-policy-flow" in said,
            optional_target="optional-top-level-target-ref" in said,
            manifests=MANIFESTS in said,
        ),
        version=_version(metadata.get("version")),
        config=config if len(config) <= CONFIG_MAX else "",
        instance=str(metadata.get("control-plane-id") or "")[:INSTANCE_MAX],
        cluster=str(metadata.get(HELD) or "")[:ID_MAX],
    )


def _version(value: object) -> Mapping[str, str]:
    inner = value.get("kumaCp") if isinstance(value, Mapping) else None
    if not isinstance(inner, Mapping):
        return {}
    return {name: str(inner[name])[:INSTANCE_MAX] for name in VERSION_FIELDS if name in inner}


def is_compatible(version: str) -> bool:
    """The same major version, and two minor ones apart at most; what cannot be read is."""
    try:
        ours, theirs = (
            tuple(int(part) for part in text.split(".")[:2]) for text in (KUMA_VERSION, version)
        )
        return ours[0] == theirs[0] and abs(ours[1] - theirs[1]) <= MINOR_MAX
    except (ValueError, IndexError):
        return True


def kuma_version(version: str) -> Mapping[str, Mapping[str, str]]:
    """How both sides call themselves: by the Kuma whose dialect they speak, which is what a peer
    compares with its own; `version` is this program's.
    """
    return {"kumaCp": {"version": KUMA_VERSION, "gitTag": f"mesh-reconciler-{version}"}}


def zone_node(zone: str, instance: str, version: str) -> Node:
    """A real global parses `config` and wants `store.type` in it."""
    metadata = {
        "version": kuma_version(version),
        "config": '{"mode":"zone","store":{"type":"memory"}}',
        "control-plane-id": instance,
        "features": list(FEATURES),
    }
    return Node(zone, metadata=metadata)


def call_headers(zone: str, version: str, token: str | None) -> tuple[tuple[str, str], ...]:
    """`features` twice: a real global looks for exact elements."""
    headers = (
        ("client-id", zone),
        ("features", "zone-ping-health"),
        ("features", HASH_SUFFIX),
        ("kds-version", "v3"),
        ("version", version),
    )
    return (*headers, ("authorization", token)) if token else headers
