"""What a proxy's inbounds come to: listeners, the clusters behind them, and what policies do there.
Pure.

Policies select the inbounds of many proxies alike (`Hosts`), and do the same to most of them:
which those are, and what they come to, is found once for all of these proxies.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler import captured
from reconciler.destination import Origin, cluster_applied, listener_applied
from reconciler.match import Ranked, Selection, selections
from reconciler.model.spec import DataplaneSpec
from reconciler.policies.effect import InboundPlace
from reconciler.policies.hooks import EFFECTS
from reconciler.topology import protocol_of
from xds import names
from xds.copying import replace
from xds.hooks import Applied
from xds.resource import CLUSTER, LISTENER
from xds.view import DownstreamTls, InboundListener, LocalCluster

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.context import MeshContext
    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import Inbound

MESHES_KEPT = 256
FITTED_MAX = 1_024  # kinds of inbounds of the same hosts: a few, or one for each that is not HTTP


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """By kind, the policies that say something of inbounds. `fitted`: what they do to an inbound,
    by its index and place.
    """

    by_kind: Mapping[str, tuple[Selection, ...]]
    fitted: dict[tuple[int, InboundPlace], Fitted] = field(default_factory=dict)


@dataclass(slots=True, eq=False, weakref_slot=True)
class Hosts:
    """Proxies whose inbounds the same policies select; `example` is one of them. `bound`: by kind,
    those that do not select their whole class.
    """

    example: MeshResource
    bound: Mapping[str, tuple[Ranked, ...]]
    _whole: tuple[tuple[Ranked, ...], ...] = ()
    _found: Chosen | None = None

    def at(self, context: MeshContext) -> Chosen:
        """The same object as long as the policies are the same; looked for once for all proxies."""
        found, whole = self._found, context.whole
        if found is not None and self._whole is whole:
            return found
        before = self._whole or (None,) * len(whole)
        chosen = {
            kind: found.by_kind[kind]
            if found is not None and was is now
            else about_inbounds(selections((*self.bound[kind], *now), self.example))
            for kind, was, now in zip(context.index, before, whole, strict=True)
        }
        if found is None or found.by_kind != chosen:
            found = self._found = Chosen(chosen)
        self._whole = whole
        return found


def about_inbounds(chosen: tuple[Selection, ...]) -> tuple[Selection, ...]:
    return tuple(s for s in chosen if s.spec.from_ or s.spec.rules)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What policies do to an inbound and to the cluster behind it, and which ones."""

    listener: tuple[Applied, ...]
    cluster: tuple[Applied, ...]
    listener_origins: Origin
    cluster_origins: Origin


@dataclass(frozen=True, slots=True, eq=False)
class _Spot:
    """One inbound that listens: its index, and the names of what there is of it."""

    index: int
    place: InboundPlace
    listener: str
    cluster: str
    fitted: Fitted


@dataclass(frozen=True, slots=True, eq=False)
class Inward:
    """Each by name. `spots`: what they were made for, one after the other."""

    clusters: dict[str, LocalCluster] = field(default_factory=dict)
    listeners: dict[str, InboundListener] = field(default_factory=dict)
    origins: dict[tuple[str, str], Origin] = field(default_factory=dict)
    spots: list[_Spot] = field(default_factory=list)


def inward_of(
    context: MeshContext, dataplane: MeshResource, chosen: Chosen, *, reuse_port: bool
) -> Inward:
    found, spec = Inward(), dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    for index, inbound in enumerate(spec.inbounds):
        _add(
            found,
            context,
            (inbound, index),
            chosen,
            reuse_port=reuse_port,
            is_captured=captured.is_inbound(spec),
        )
    return found


def refitted(context: MeshContext, before: Inward, chosen: Chosen) -> Inward | None:
    """The same inbounds with what other policies do to them. None: which of them share a cluster
    may be another matter now.
    """
    own_clusters = len(before.clusters) == len(before.spots) and all(
        name == names.local_cluster_name(cluster.port) for name, cluster in before.clusters.items()
    )
    clusters, listeners, spots = before.clusters, before.listeners, []
    for was in before.spots:
        fitted = _fitted(context, chosen, was.index, was.place)
        if fitted.cluster != was.fitted.cluster:
            if not own_clusters:
                return None
            cluster = replace(clusters[was.cluster], applied=fitted.cluster)
            clusters = {**clusters, was.cluster: cluster}
        if fitted.listener != was.fitted.listener:
            listener = replace(listeners[was.listener], applied=fitted.listener)
            listeners = {**listeners, was.listener: listener}
        spots.append(_Spot(was.index, was.place, was.listener, was.cluster, fitted))
    found = Inward(clusters, listeners)
    for spot in spots:
        _note(found, spot)
    return found


def _note(parts: Inward, spot: _Spot) -> None:
    parts.spots.append(spot)
    if spot.fitted.listener_origins:
        parts.origins[LISTENER, spot.listener] = spot.fitted.listener_origins
    if spot.fitted.cluster:
        parts.origins[CLUSTER, spot.cluster] = spot.fitted.cluster_origins


def _add(
    parts: Inward,
    context: MeshContext,
    of: tuple[Inbound, int],
    chosen: Chosen,
    *,
    reuse_port: bool,
    is_captured: bool,
) -> None:
    inbound, index = of
    address = context.resolve(inbound.address)
    workload = context.resolve(inbound.workload_address)
    if address is None or workload is None:
        return  # Envoy takes no names: the inbound comes when its name has an address.
    name = names.inbound_listener_name(address, inbound.port)
    protocol = protocol_of(inbound.protocol)
    http, mtls = protocol.is_http, context.spec.mtls is not None
    place = InboundPlace("" if http else name, http, mtls)
    fitted = _fitted(context, chosen, index, place)
    local = names.local_cluster_name(inbound.workload_port)
    cluster = _add_local(
        parts,
        LocalCluster(
            local,
            workload,
            inbound.workload_port,
            protocol,
            fitted.cluster,
            source=captured.source_towards(workload) if is_captured else "",
        ),
        (address, inbound.port),
    )
    parts.listeners[name] = InboundListener(
        name=name,
        address=address,
        port=inbound.port,
        protocol=protocol,
        service=inbound.service or name,  # Envoy's virtual host needs a name.
        cluster=cluster,
        tags=inbound.tags,
        tls=downstream_tls(context),
        reuse_port=reuse_port,
        ready=inbound.healthy or not inbound.probed,
        applied=fitted.listener,
        captured=is_captured,
    )
    _note(parts, _Spot(index, place, name, cluster, fitted))


def _add_local(parts: Inward, cluster: LocalCluster, inbound: tuple[str, int]) -> str:
    """The name under which it is there.

    Inbounds may lead to one port number in different ways: at other addresses, with another
    protocol, under other policies. Only the first has the plain name; no two inbounds listen at
    the same place.
    """
    if parts.clusters.get(cluster.name, cluster) != cluster:
        cluster = replace(cluster, name=names.other_local_cluster_name(cluster.port, *inbound))
    parts.clusters[cluster.name] = cluster
    return cluster.name


def _fitted(context: MeshContext, chosen: Chosen, index: int, place: InboundPlace) -> Fitted:
    known, key = chosen.fitted, (index, place)
    found = known.get(key)
    if found is None:
        if len(known) >= FITTED_MAX:
            known.clear()
        found = known[key] = _fit(context, chosen, index, place)
    return found


def _fit(context: MeshContext, chosen: Chosen, index: int, place: InboundPlace) -> Fitted:
    """What every kind does to an inbound."""
    listener: list[Applied] = []
    cluster: list[Applied] = []
    origins: list[Origin] = []
    cluster_origins: list[Origin] = []
    for effect in EFFECTS:
        if effect.on_inbound is None:
            continue
        those = tuple(s for s in chosen.by_kind[effect.kind] if index in s.inbounds)
        conf = context.inbound_conf(effect, those, index)
        value = effect.on_inbound(conf.value if conf is not None else None, place)
        if value is None:
            continue
        applied = (Applied(effect.hooks, value),)
        origin = conf.origins if conf is not None else ()
        if at_listener := listener_applied(applied):
            listener += at_listener
            origins.append(origin)
        if at_cluster := cluster_applied(applied):
            cluster += at_cluster
            cluster_origins.append(origin)
    return Fitted(tuple(listener), tuple(cluster), _all(origins), _all(cluster_origins))


def _all(origins: Iterable[Origin]) -> Origin:
    """Each policy once."""
    return tuple(dict.fromkeys(key for keys in origins for key in keys))


def downstream_tls(context: MeshContext) -> DownstreamTls | None:
    """None: mTLS is off."""
    mtls = context.spec.mtls
    return _downstream_tls(context.name, mtls.permissive) if mtls is not None else None


@lru_cache(maxsize=MESHES_KEPT)
def _downstream_tls(mesh: str, permissive: bool) -> DownstreamTls:
    """One object for all inbounds."""
    return DownstreamTls(
        san_uri_prefixes=(names.spiffe_prefix(mesh),),
        identity_secret=names.identity_secret_name(mesh),
        ca_secret=names.ca_secret_name(mesh),
        permissive=permissive,
    )
