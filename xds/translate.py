"""A proxy's view as xDS resources: every part from a memo keyed by exactly what its builder may
read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xds.build.admin import admin_shape
from xds.build.clusters import build_cluster
from xds.build.endpoints import build_endpoints
from xds.build.inbound import inbound_shape
from xds.build.listeners import build_listener
from xds.build.outbound import outbound_shape
from xds.memo import Argument, Memo
from xds.snapshot import EMPTY, Resources, Snapshot
from xds.view import (
    ClusterInput,
    DownstreamTls,
    EdsCluster,
    Endpoints,
    InboundListener,
    ListenerInput,
    ProxyView,
    UpstreamTls,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.resource import XdsResource

LIMIT = 512  # results a stage keeps, at most twice, that no proxy holds any more: of 3 kB each
SHAPES = 1_024  # what listeners have in common: a few for each service


Translated = tuple[ProxyView, Snapshot]


class IncompleteView(Exception):
    """A secret that the view needs is not there yet; the proxy keeps what it has."""


class InconsistentView(AssertionError):
    """Our fault: a cluster without its endpoints, or a secret used that is not the proxy's."""


@dataclass(frozen=True, slots=True)
class Builders:
    """The memos of one control plane. Shared bytes: equal inputs of all proxies give the same
    object.
    """

    cluster: Memo[ClusterInput, XdsResource] = field(
        default_factory=lambda: Memo("cluster", build_cluster, LIMIT)
    )
    endpoints: Memo[Endpoints, XdsResource] = field(
        default_factory=lambda: Memo("endpoints", build_endpoints, LIMIT)
    )
    listener: Memo[ListenerInput, XdsResource] = field(default_factory=lambda: _listeners())
    collection: Memo[tuple[XdsResource, ...], Resources] = field(
        default_factory=lambda: Memo("collection", _by_name, LIMIT)
    )
    assignments: Memo[tuple[Endpoints, ...], Resources] = field(init=False)

    def __post_init__(self) -> None:
        def build(argument: tuple[Endpoints, ...]) -> Resources:
            return self.collection(tuple(map(self.endpoints, argument)))

        object.__setattr__(self, "assignments", Memo("assignments", build, LIMIT))

    @property
    def rebuilt(self) -> Mapping[str, int]:
        """How many resources were really built, by stage, since the start."""
        return {memo.stage: memo.built for memo in (self.cluster, self.endpoints, self.listener)}


def _listeners() -> Memo[ListenerInput, XdsResource]:
    inbound = Memo("inbound shape", inbound_shape, SHAPES)
    outbound = Memo("outbound shape", outbound_shape, SHAPES)
    admin = Memo("admin shape", admin_shape, SHAPES)

    def build(argument: ListenerInput) -> XdsResource:
        return build_listener(argument, inbound, outbound, admin)

    return Memo("listener", build, LIMIT)


def translate(
    view: ProxyView, secrets: Resources, builders: Builders, before: Translated | None = None
) -> Snapshot:
    """All resources of the view. Raises IncompleteView while a secret it names has no body.

    `before`: a view that was translated, and its snapshot; what is the same tuple in both gives the
    same mapping without a look at its values.
    """
    missing = [name for name in view.secrets if name not in secrets]
    if missing:
        raise IncompleteView(f"{view.node_id}: no {', '.join(missing)} yet")
    known, snapshot = before if before is not None else (None, EMPTY)
    assignments = builders.assignments(view.endpoints)
    _check(view, assignments, known, snapshot)
    clusters, listeners, own = snapshot.clusters, snapshot.listeners, snapshot.secrets
    if known is None or view.clusters is not known.clusters:
        was = known.clusters if known is not None else ()
        clusters = builders.collection(_built(builders.cluster, view.clusters, was, clusters))
    if known is None or view.listeners is not known.listeners:
        had = known.listeners if known is not None else ()
        listeners = builders.collection(_built(builders.listener, view.listeners, had, listeners))
    found = [secrets[name] for name in view.secrets]
    if len(own) != len(found) or not all(own.get(each.name) is each for each in found):
        own = builders.collection(tuple(found))
    return Snapshot(clusters, assignments, own, listeners)


def _built(
    memo: Memo[Argument, XdsResource],
    wanted: tuple[Argument, ...],
    had: tuple[Argument, ...],
    held: Resources,
) -> tuple[XdsResource, ...]:
    """`held` are the resources of `had`, in order: what stands at the same place in both is not
    looked up.
    """
    if len(wanted) != len(had) or len(had) != len(held):
        return tuple(map(memo, wanted))
    return tuple(
        [
            resource if one is other else memo(one)
            for one, other, resource in zip(wanted, had, held.values(), strict=True)
        ]
    )


class _Collection(dict[str, "XdsResource"]):
    """A plain dict cannot be held weakly."""


def _by_name(resources: tuple[XdsResource, ...]) -> Resources:
    return _Collection((resource.name, resource) for resource in resources)


def _check(
    view: ProxyView, assignments: Resources, known: ProxyView | None, before: Snapshot
) -> None:
    """No dangling reference ever reaches a proxy. What was checked before is not looked at again:
    of other endpoints for the same clusters, the names.
    """
    if (
        known is not None
        and view.clusters is known.clusters
        and view.listeners is known.listeners
        and view.secrets == known.secrets
        and assignments.keys() == before.endpoints.keys()
    ):
        return
    eds = {cluster.name for cluster in view.clusters if isinstance(cluster, EdsCluster)}
    if eds != assignments.keys():
        wrong = eds ^ assignments.keys()
        raise InconsistentView(f"{view.node_id}: clusters and endpoints differ: {wrong}")
    used = _secrets_used(view) - set(view.secrets)
    if used:
        raise InconsistentView(f"{view.node_id}: uses secrets that are not its own: {sorted(used)}")


def _secrets_used(view: ProxyView) -> set[str]:
    found: list[UpstreamTls | DownstreamTls | None] = []
    found += [c.tls for c in view.clusters if isinstance(c, EdsCluster)]
    found += [x.tls for x in view.listeners if isinstance(x, InboundListener)]
    used = [tls for tls in found if tls is not None]
    return {name for tls in used for name in (tls.identity_secret, tls.ca_secret)}
