"""Host names that stand where Envoy takes addresses only: which there are, and what changes with
their addresses. The shell looks them up: all of them now and then, a new one at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.model.proxy_rules import is_ip
from reconciler.model.spec import DataplaneSpec, ZoneIngressSpec, ZoneProxySpec
from reconciler.steps import zone_build, zone_health
from reconciler.steps.zone_state import Effects, LookUp, Outcome, ZoneState
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.model.resource import MeshResource

PROXIES = ("Dataplane", "ZoneIngress", "ZoneEgress")


def host_names(state: ZoneState) -> tuple[str, ...]:
    """Those of other zones' ingresses, then those of this zone's proxies; each once."""
    there = names_there(state.relayed.of("ZoneIngress"))
    here = names_here(resource for type_ in PROXIES for resource in state.local.of(type_))
    return tuple(dict.fromkeys((*there, *here)))


def names_there(relayed: Iterable[MeshResource]) -> Iterator[str]:
    for spec in (resource.spec for resource in relayed):
        if isinstance(spec, ZoneIngressSpec):
            yield from _names(spec.advertised_address)


def names_here(local: Iterable[MeshResource]) -> Iterator[str]:
    for spec in (resource.spec for resource in local):
        if isinstance(spec, DataplaneSpec):
            yield from _names(spec.address, spec.advertised_address)
        elif isinstance(spec, ZoneProxySpec):
            yield from _names(spec.address)


def _names(*hosts: str) -> Iterator[str]:
    return (host for host in hosts if host and not is_ip(host))


def look_up(state: ZoneState, names: Iterable[str]) -> Effects:
    """Who has a name without an address is not served: that does not wait for the next look."""
    return () if all(name in state.resolved for name in names) else (LookUp(),)


def resolved(state: ZoneState, addresses: Mapping[str, str], now: float) -> Outcome:
    """New addresses: only meshes that use them see a different context."""
    if dict(state.resolved) == dict(addresses):
        return state, ()
    state = replace(state, resolved=HashTrieMap(dict(addresses)))
    state, built = zone_build.all_touched(state)
    state, asked = zone_health.refresh(state, now)
    return state, (*built, *asked)
