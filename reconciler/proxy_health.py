"""What a proxy is asked to check, and what its answer makes of its Dataplane. Pure.

Kuma's rules (facts/dataplane-wire.md 1.11): an inbound is Ready when its Envoy is and, if it has a
serviceProbe, the application behind it takes connections. `Ignored` is the user's word and stays.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from reconciler.decode import mesh_resource
from reconciler.duration import parse_duration
from reconciler.instances import resolver
from reconciler.model.spec import DataplaneSpec, InboundState
from xds.health import Check, HealthReport, Specifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import Inbound
    from reconciler.view import ProxyTraits

ADMIN = "kuma:envoy:admin"
THRESHOLD_MAX = 1_000
PERIOD_MAX_S = 3_600.0
INTERVAL_MIN_S = 0.1  # a report costs its reader something, also one without news
# Without a serviceProbe there is only the proxy's own end to tell, and it drains for 30 s: a
# thousand such proxies would say nothing new 200 times a second.
UNPROBED_S = 20.0
# Of all proxies with probes together, a second; each costs the zone half a millisecond.
REPORTS_MAX = 400.0
SLOWEST_S = 5.0  # Kuma's interval: no fleet is so large that its news is older
# Where Envoy's own connections come from that must not be taken for the application's.
TRANSPARENT_SOURCE = {4: "127.0.0.6", 6: "::6"}
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the proxies with probes report: as often as is asked for while they are few, half
    as often whenever they would report too much. It goes back at half of that number, so that one
    proxy that comes and goes changes nothing.
    """

    probed: int = 0
    factor: int = 1

    def interval_s(self, fastest_s: float) -> float:
        return min(fastest_s * self.factor, max(fastest_s, SLOWEST_S))

    def of(self, probed: int, fastest_s: float) -> Pace:
        factor, most = self.factor, REPORTS_MAX * fastest_s
        while probed > most * factor and fastest_s * factor < SLOWEST_S:
            factor *= 2
        while factor > 1 and probed <= most * factor / 4:
            factor //= 2
        return Pace(probed, factor)


def is_probed(specifier: Specifier | None) -> bool:
    """Whether it asks for the health of an application."""
    return specifier is not None and any(check.cluster != ADMIN for check in specifier.checks)


def specifier_of(
    resource: MeshResource,
    traits: ProxyTraits,
    interval_s: float,
    resolved: Mapping[str, str] = _NONE,
) -> Specifier:
    """Envoy's own readiness, and each application with a serviceProbe. `interval_s` is how often
    proxies with such applications report; others do less often.

    HDS carries addresses only: an application at a name is checked once the name is `resolved`.
    """
    checks: dict[str, Check] = {}
    probed = False
    if traits.admin_pipe:
        checks[ADMIN] = Check(ADMIN, pipe=traits.admin_pipe, path="/ready")
    elif traits.admin_port:
        checks[ADMIN] = Check(ADMIN, address="127.0.0.1", port=traits.admin_port, path="/ready")
    resolve = resolver(resolved)
    for inbound, data in _inbounds(resource):
        probed = probed or "serviceProbe" in data
        address = resolve(inbound.workload_address)
        if "serviceProbe" in data and address is not None:
            check = _workload(inbound, data, address, _is_transparent(resource))
            checks.setdefault(check.cluster, check)
    every_s = interval_s if probed else max(UNPROBED_S, interval_s)
    return Specifier(tuple(checks.values()), max(every_s, INTERVAL_MIN_S))


def _is_transparent(resource: MeshResource) -> bool:
    return isinstance(resource.spec, DataplaneSpec) and resource.spec.transparent is not None


def _workload(inbound: Inbound, data: Mapping[str, object], at: str, transparent: bool) -> Check:
    probe = cast("Mapping[str, object]", data["serviceProbe"] or {})
    address = ipaddress.ip_address(at)
    away = transparent and not address.is_loopback
    return Check(
        _cluster(inbound),
        address=at,
        port=inbound.workload_port,
        source=TRANSPARENT_SOURCE[address.version] if away else "",
        timeout_s=_seconds(probe.get("timeout"), 2.0),
        interval_s=_seconds(probe.get("interval"), 1.0),
        unhealthy_threshold=_threshold(probe.get("unhealthyThreshold")),
        healthy_threshold=_threshold(probe.get("healthyThreshold")),
    )


def _cluster(inbound: Inbound) -> str:
    return f"localhost:{inbound.workload_port}"


def _seconds(value: object, default: float) -> float:
    span = parse_duration(value) if isinstance(value, str) else None
    seconds = span.total_seconds() if span is not None else 0.0
    return min(seconds, PERIOD_MAX_S) if seconds > 0 else default


def _threshold(value: object) -> int:
    return min(value, THRESHOLD_MAX) if isinstance(value, int) and value > 0 else 1


def with_report(resource: MeshResource, report: HealthReport) -> MeshResource:
    """The Dataplane as the report has it; the same object when nothing differs.

    What the report does not speak of is not known yet: a probed inbound keeps its state until then.
    """
    envoy = report.healthy.get(ADMIN, True)
    wanted: dict[int, bool] = {}
    for index, (inbound, data) in enumerate(_inbounds(resource)):
        known = True if "serviceProbe" not in data else report.healthy.get(_cluster(inbound))
        healthy = inbound.healthy if known is None and envoy else envoy and known is True
        if healthy != inbound.healthy and data.get("state") != InboundState.IGNORED:
            wanted[index] = healthy
    return _with_states(resource, wanted)


def with_kept_health(resource: MeshResource, before: MeshResource | None) -> MeshResource:
    """A Dataplane whose proxy came back without having been gone: a probed inbound starts with the
    state that was last reported.
    """
    if before is None:
        return resource
    last = {(i.address, i.port): i.healthy for i, _ in _inbounds(before)}
    wanted = {
        index: True
        for index, (inbound, data) in enumerate(_inbounds(resource))
        if "serviceProbe" in data
        and data.get("state") != InboundState.IGNORED
        and last.get((inbound.address, inbound.port))
        and not inbound.healthy
    }
    return _with_states(resource, wanted)


def unprobed(inbound: Mapping[str, object]) -> dict[str, object]:
    """An inbound as it starts: with a serviceProbe it is not ready before it was found to be."""
    if "serviceProbe" not in inbound or inbound.get("state") == InboundState.IGNORED:
        return dict(inbound)
    return {**inbound, **_state(healthy=False)}


def _state(*, healthy: bool) -> dict[str, object]:
    state = InboundState.READY if healthy else InboundState.NOT_READY
    return {"state": state.value, "health": {"ready": healthy}}


def _with_states(resource: MeshResource, wanted: Mapping[int, bool]) -> MeshResource:
    if not wanted:
        return resource
    data = json.loads(resource.body)
    for index, healthy in wanted.items():
        data["networking"]["inbound"][index].update(_state(healthy=healthy))
    return mesh_resource(resource.key, resource.labels, data)


def _inbounds(resource: MeshResource) -> Iterator[tuple[Inbound, Mapping[str, object]]]:
    """Decoded and as written, in their order."""
    if isinstance(resource.spec, DataplaneSpec) and resource.spec.inbounds:
        written = json.loads(resource.body)["networking"]["inbound"]
        yield from zip(resource.spec.inbounds, written, strict=True)
