"""A proxy's view as xDS resources: every part from a memo keyed by exactly what its builder may
read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from operator import is_, is_not
from typing import TYPE_CHECKING, Any

from xds.build.admin import admin_shape
from xds.build.clusters import build_cluster
from xds.build.endpoints import build_endpoints
from xds.build.inbound import inbound_shape
from xds.build.listeners import build_listener
from xds.build.outbound import outbound_shape
from xds.memo import Argument, Memo
from xds.snapshot import EMPTY, NO_RESOURCES, Composed, Resources, Snapshot
from xds.view import (
    NOTHING,
    ClusterInput,
    DirectCluster,
    DownstreamTls,
    EdsCluster,
    Endpoints,
    ExternalCluster,
    Half,
    InboundListener,
    ListenerInput,
    ProxyView,
    SniListener,
    UpstreamTls,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        default_factory=lambda: Memo("collection", _Collection.of, LIMIT)
    )
    assignments: Memo[tuple[Endpoints, ...], Resources] = field(init=False)

    def __post_init__(self) -> None:
        def build(argument: tuple[Endpoints, ...]) -> Resources:
            return self.collection(tuple(map(self.endpoints, argument)))

        object.__setattr__(self, "assignments", Memo("assignments", build, LIMIT))

    def forget(self) -> None:
        """What no proxy runs any more."""
        for memo in (
            self.cluster, self.endpoints, self.listener, self.collection, self.assignments
        ):  # fmt: skip
            memo.forget()

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


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Built:
    """What a half of a view came to; remembered with it."""

    builders: Builders | None
    clusters: Resources
    endpoints: Resources
    listeners: Resources
    uses: frozenset[str]  # secrets
    latest: tuple[Resources, Resources] = field(default=(NO_RESOURCES, NO_RESOURCES), repr=False)

    def clusters_with(self, own: Resources) -> Resources:
        """One object for proxies whose own are the same, as for most that share a half."""
        if not own:
            return self.clusters
        if self.latest[0] is not own:
            self.latest = own, _both(own, self.clusters)
        return self.latest[1]


_NOTHING = _Built(None, NO_RESOURCES, NO_RESOURCES, NO_RESOURCES, frozenset())
_NO_VIEW = ProxyView("", NOTHING, ())


def translate(
    view: ProxyView, secrets: Resources, builders: Builders, before: Translated | None = None
) -> Snapshot:
    """All resources of the view. Raises IncompleteView while a secret it names has no body.

    `before`: a view that was translated, and its snapshot; what is the same in both gives the same
    mapping without a look at its values.
    """
    try:
        bodies = [secrets[name] for name in view.secrets]
    except KeyError as missing:
        raise IncompleteView(f"{view.node_id}: no {missing.args[0]} yet") from None
    known, held = before if before is not None else (_NO_VIEW, EMPTY)
    had, had_shared = _known(known.own, builders), _known(known.shared, builders)
    if had is None or had_shared is None:  # By other builders.
        known, held, had, had_shared = _NO_VIEW, EMPTY, _NOTHING, _NOTHING
    try:
        own, shared = had, had_shared
        if view.own is not known.own:
            own = _built(view.own, builders, known.own, had)
        if view.shared is not known.shared:
            shared = _built(view.shared, builders, known.shared, had_shared)
        clusters, endpoints, listeners = held.clusters, held.endpoints, held.listeners
        if own.clusters is not had.clusters or shared.clusters is not had_shared.clusters:
            clusters = shared.clusters_with(own.clusters)
        if own.endpoints is not had.endpoints or shared.endpoints is not had_shared.endpoints:
            endpoints = _both(own.endpoints, shared.endpoints)
        if own.listeners is not had.listeners or shared.listeners is not had_shared.listeners:
            listeners = _both(own.listeners, shared.listeners)
        if (
            own.uses is not had.uses
            or shared.uses is not had_shared.uses
            or view.secrets is not known.secrets
        ):
            _check_secrets(view, own.uses, shared.uses)
    except InconsistentView as error:
        raise InconsistentView(f"{view.node_id}: {error}") from None
    own_secrets = held.secrets
    if len(own_secrets) != len(bodies) or not all(map(is_, own_secrets.values(), bodies)):
        own_secrets = _by_name(bodies)
    return Snapshot(clusters, endpoints, own_secrets, listeners)


def _known(half: Half, builders: Builders) -> _Built | None:
    if half is NOTHING:
        return _NOTHING
    found = half.built
    return found if isinstance(found, _Built) and found.builders is builders else None


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Underway:
    """What is built of a half so far: held here, for no memo keeps as many for long."""

    builders: Builders
    built: list[XdsResource] = field(default_factory=list)


def ahead(half: Half, builders: Builders, limit: int, before: Half = NOTHING) -> bool:
    """A part of what `translate` will build: `limit` resources that nobody has. Whether that is all
    there is; where many services are, it is more than a turn of the loop has time for.

    `before`: a half that was translated; what is in both is built.
    """
    if _known(half, builders) is not None:
        return True
    if _known(before, builders) is not None and _new_in(half, before) <= limit:
        return True
    found = half.built
    if not isinstance(found, _Underway) or found.builders is not builders:
        found = _Underway(builders)
        half.remember(found)
    stages: tuple[tuple[Memo[Any, XdsResource], tuple[object, ...]], ...] = (
        (builders.cluster, half.clusters),
        (builders.endpoints, half.endpoints),
        (builders.listener, half.listeners),
    )
    passed = 0
    for memo, parts in stages:
        until = memo.built + limit
        for part in islice(parts, max(0, len(found.built) - passed), None):
            if memo.built >= until:
                return False
            found.built.append(memo(part))
        passed += len(parts)
        limit = until - memo.built
    return True


def _new_in(half: Half, before: Half) -> int:
    """Parts that do not stand at the same place in both."""
    pairs = (
        (half.clusters, before.clusters),
        (half.endpoints, before.endpoints),
        (half.listeners, before.listeners),
    )
    found = 0
    for now, was in pairs:
        if now is not was:
            found += sum(map(is_not, now, was)) if len(now) == len(was) else len(now)
    return found


def _built(half: Half, builders: Builders, before: Half, had: _Built) -> _Built:
    """What the half came to, or comes to: `had` is what `before` came to."""
    found = _known(half, builders)
    if found is not None:
        return found
    clusters, endpoints, listeners, uses = had.clusters, had.endpoints, had.listeners, had.uses
    if half.clusters is not before.clusters:
        clusters = builders.collection(
            _resources(builders.cluster, half.clusters, before.clusters, clusters)
        )
    if half.endpoints is not before.endpoints:
        endpoints = builders.assignments(half.endpoints)
    if half.listeners is not before.listeners:
        listeners = _by_name(
            _resources(builders.listener, half.listeners, before.listeners, listeners)
        )
    if clusters is not had.clusters or endpoints.keys() != had.endpoints.keys():
        _check_endpoints(half)
    if clusters is not had.clusters or listeners is not had.listeners:
        uses = _secrets_used(half)
    found = _Built(builders, clusters, endpoints, listeners, uses)
    half.remember(found)
    return found


def _resources(
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

    @classmethod
    def of(cls, resources: tuple[XdsResource, ...]) -> Resources:
        return cls(_by_name(resources))


def _by_name(resources: Iterable[XdsResource]) -> dict[str, XdsResource]:
    return {resource.name: resource for resource in resources}


def _both(own: Resources, shared: Resources) -> Resources:
    if not own or not shared:
        return own or shared
    found = Composed(own, shared)
    if len(found) != len(own) + len(shared):
        raise InconsistentView(f"shared, and its own: {sorted(own.keys() & shared.keys())}")
    return found


def _check_endpoints(half: Half) -> None:
    """No dangling reference ever reaches a proxy."""
    clusters = {cluster.name for cluster in half.clusters if isinstance(cluster, EdsCluster)}
    wrong = clusters ^ {assignment.cluster for assignment in half.endpoints}
    if wrong:
        raise InconsistentView(f"clusters and endpoints differ: {wrong}")


def _check_secrets(view: ProxyView, *used: frozenset[str]) -> None:
    for names in used:
        if not names.issubset(view.secrets):
            others = sorted(names.difference(view.secrets))
            raise InconsistentView(f"uses secrets that are not its own: {others}")


def _secrets_used(half: Half) -> frozenset[str]:
    found: list[UpstreamTls | DownstreamTls | None] = []
    found += [c.tls for c in half.clusters if isinstance(c, EdsCluster | DirectCluster)]
    found += [x.tls for x in half.listeners if isinstance(x, InboundListener)]
    found += [chain.tls for x in half.listeners if isinstance(x, SniListener) for chain in x.ended]
    outside = (e for c in half.clusters if isinstance(c, ExternalCluster) for e in c.endpoints)
    used = [tls for tls in (*found, *(each.tls for each in outside)) if tls is not None]
    return frozenset(name for tls in used for name in (tls.identity_secret, tls.ca_secret) if name)
