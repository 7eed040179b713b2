"""What a zone says of one proxy's streams: the message of its insight
(facts/dataplane-wire.md 1.10). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from reconciler.kds.messages import MESSAGES
from reconciler.kds.proto import kuma_mesh_pb2 as pb
from reconciler.kds.zone_node import is_compatible
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.kds.stats import Counts

TOLD_TYPES = ("cds", "eds", "lds", "rds")  # others count in the total only
COMPATIBLE = "kumaDpCompatible"
METADATA_MAX = 256 * 1024  # bytes; more is not told upward


@dataclass(frozen=True, slots=True)
class Said:
    """What a proxy said of itself in the node of its first request, encoded once for all that is
    told of it: its versions as `Version`, all of it as the last field of a DataplaneInsight.
    """

    version: bytes = b""
    metadata: bytes = b""


UNSAID = Said()


@dataclass(frozen=True, slots=True)
class Subscription:
    """One ADS stream of the proxy. Times are seconds since the epoch."""

    instance: str  # of the control plane
    since: float
    until: float | None = None
    said: Said = UNSAID
    counts: Mapping[str, Counts] | None = None  # by short type name, cds for example
    counted_at: float = 0.0


@dataclass(frozen=True, slots=True)
class ProxyInsight:
    """The last two subscriptions, the newest last, and the certificate it serves with."""

    subscriptions: tuple[Subscription, ...] = ()
    backend: str = ""
    backends: tuple[str, ...] = ()  # all that the mesh listed then
    expires_at: float = 0.0
    regenerated_at: float = 0.0
    regenerations: int = 0

    def opened(self, subscription: Subscription) -> tuple[Subscription, ...]:
        """Of the metadata only the newest is told."""
        before = (replace(s, said=replace(s.said, metadata=b"")) for s in self.subscriptions[-1:])
        return (*before, subscription)


def said_by(metadata: Mapping[str, object]) -> Said:
    """Equal metadata gives equal bytes."""
    insight = pb.DataplaneInsight()
    insight.metadata.update(cast("Mapping[str, Any]", metadata))
    if insight.metadata.ByteSize() > METADATA_MAX:
        return Said(_version(metadata))
    return Said(_version(metadata), insight.SerializeToString(deterministic=True))


def insight_bytes(type_: str, name: str, insight: ProxyInsight) -> bytes:
    """The message of the kind; `generation` stays 0, nothing here counts heartbeats. The insights
    of zone proxies have no certificate.
    """
    message: Any = MESSAGES[type_]()  # The three have no type in common.
    for found in insight.subscriptions:
        _tell(message.subscriptions.add(), name, found)
    said = insight.subscriptions[-1].said if insight.subscriptions else UNSAID
    if type_ != "DataplaneInsight":
        if said.metadata:
            message.metadata.CopyFrom(pb.DataplaneInsight.FromString(said.metadata).metadata)
        data: bytes = message.SerializeToString(deterministic=True)
        return data
    if insight.backend:
        told = message.mTLS
        _set(told.certificate_expiration_time, insight.expires_at)
        _set(told.last_certificate_regeneration, insight.regenerated_at)
        told.certificate_regenerations = insight.regenerations
        told.issuedBackend = insight.backend
        told.supportedBackends.extend(insight.backends or (insight.backend,))
    data = message.SerializeToString(deterministic=True)
    return data + said.metadata


def _tell(told: pb.DiscoverySubscription, name: str, found: Subscription) -> None:
    """Online means: a subscription with a connect time and no disconnect time."""
    told.id = f"{name}-{int(found.since * 1000)}"
    told.control_plane_instance_id = found.instance
    _set(told.connect_time, found.since)
    if found.said.version:
        told.version.ParseFromString(found.said.version)
    if found.counts:
        status = told.status
        _set(status.last_update_time, found.counted_at)
        _count(status.total, found.counts.values())
        for type_ in TOLD_TYPES:
            counts = found.counts.get(type_)
            if counts is not None:
                _count(getattr(status, type_), (counts,))
            else:
                getattr(status, type_).SetInParent()  # A reader looks into all four.
    if found.until is not None:
        _set(told.disconnect_time, found.until)


def _set(told: Any, at: float) -> None:
    """A Timestamp, to the millisecond."""
    seconds, milliseconds = divmod(round(at * 1_000_000) // 1000, 1000)
    told.SetInParent()
    told.seconds, told.nanos = seconds, milliseconds * 1_000_000


def _count(told: pb.DiscoveryServiceStats, counts: Iterable[Counts]) -> None:
    """Their sum, without a value for each step of it: done for every type of every proxy."""
    sent = acknowledged = rejected = 0
    for each in counts:
        sent += each.sent
        acknowledged += each.acknowledged
        rejected += each.rejected
    told.SetInParent()
    told.responses_sent, told.responses_acknowledged = sent, acknowledged
    told.responses_rejected = rejected


def _version(metadata: Mapping[str, object]) -> bytes:
    """Of kuma-dp, Envoy and what they bring, as far as the proxy says it in the known form."""
    given = metadata.get("version")
    if not isinstance(given, dict):
        return b""
    known = {
        "kumaDp": ("version", "gitTag", "gitCommit", "buildDate"),
        "envoy": ("version", "build"),
    }
    told = pb.Version()
    for part, names in known.items():
        data = given.get(part)
        if isinstance(data, dict):
            for name in (n for n in names if isinstance(data.get(n), str)):
                setattr(getattr(told, part), name, data[name])
            compatible = data.get(COMPATIBLE)
            if part == "envoy" and isinstance(compatible, bool):
                told.envoy.kumaDpCompatible = compatible  # It is the proxy who knows.
    if told.HasField("kumaDp"):
        told.kumaDp.kumaCpCompatible = is_compatible(told.kumaDp.version)
    more = given.get("dependencies")
    if isinstance(more, dict):
        told.dependencies.update({k: v for k, v in more.items() if isinstance(v, str)})
    return told.SerializeToString(deterministic=True)
