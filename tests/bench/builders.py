"""What building one resource costs: CPU microseconds of every builder, cold, on one core.

Every argument is one that has not been built before; in the cases named `..._changed` it differs
from the one before in that alone, as after a change. `floor`: framing and digest of the same bytes.
For a few resources also what walking the whole message costs, and the library's own encoder.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from envoy_data_plane.message_pool import default_message_pool

from reconciler.ca.admin import issue_admin_server, new_admin_ca
from reconciler.policies import mesh_timeout_hooks, mesh_traffic_permission_hooks
from reconciler.policies.mesh_timeout import Timeouts
from reconciler.policies.mesh_traffic_permission import Permission, Principal, Rbac
from tests.bench.figures import Figure, Scale, times_floor
from xds import names
from xds.hooks import Applied
from xds.message import encode
from xds.route import MatchKind, PathMatch, Route, RouteMatch, WeightedCluster
from xds.translate import Builders
from xds.view import (
    AdminListener,
    DownstreamTls,
    EdsCluster,
    Endpoint,
    Endpoints,
    InboundListener,
    LocalCluster,
    OutboundListener,
    Protocol,
    SniChain,
    SniListener,
    UpstreamTls,
)
from xds.wire import entry_body, resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.resource import XdsResource

BATCH = 10  # resources of one value; a clock tick is too coarse for one
SAME = 0  # of what does not change
IDENTITY, CA = names.identity_secret_name("default"), names.ca_secret_name("default")
CHAINS = tuple(SniChain(f"s{n:04}{{mesh=default}}", f"default:s{n:04}") for n in range(2_000))
ENDPOINTS = tuple(
    Endpoint(f"10.0.{n // 250}.{n % 250}", 8080, 1, (("kuma.io/zone", "east"), ("version", "v1")))
    for n in range(1_000)
)


@dataclass(frozen=True, slots=True)
class Case:
    """`argument(n)`: the nth of many, n > 0; `stage`: the memo of `Builders` that builds it."""

    name: str
    stage: str
    argument: Callable[[int], Any]
    goal: float | None = None  # microseconds
    most: float | None = None  # times the floor
    compared: bool = False  # with a walk of the whole message, and the library's encoder


async def measure(scale: Scale) -> list[Figure]:
    values = scale.choose(12, 4)
    return [figure for case in CASES for figure in _figures(case, values)]


def _figures(case: Case, values: int) -> list[Figure]:
    builders = Builders()
    build: Callable[[Any], XdsResource] = getattr(builders, case.stage)
    made = build(case.argument(SAME))
    arguments = [case.argument(n) for n in range(1, values * BATCH + 1)]
    took = _batches(build, arguments)
    type_url, body = entry_body(made.entry)
    framed = _batches(lambda _: resource(type_url, made.name, body), arguments)
    key = f"build_us.{case.name}"
    check = times_floor(case.most) if case.most is not None else None
    found = [Figure(key=key, unit="us CPU", values=took, floor=framed, goal=case.goal, check=check)]
    if case.compared:
        message = default_message_pool.url_to_type[type_url]().parse(body)
        for name, other in (("walked", encode), ("library", bytes)):
            spent = _batches(lambda _, other=other: other(message), arguments[: 3 * BATCH])  # type: ignore[misc]
            found.append(Figure(key=f"{key}.{name}", unit="us CPU", values=spent))
    return found


def _batches(work: Callable[[Any], object], arguments: list[Any]) -> tuple[float, ...]:
    """Mean CPU microseconds of one, batch by batch. A collection during a batch counts."""
    gc.collect()
    found = []
    for at in range(0, len(arguments), BATCH):
        began = time.process_time_ns()
        kept = [work(argument) for argument in arguments[at : at + BATCH]]
        found.append((time.process_time_ns() - began) / len(kept) / 1_000)
    return tuple(found)


# --- what the policies of the product say ---


def _timeouts(n: int, *, http: bool = True) -> Applied:
    second = timedelta(seconds=1)
    conf = Timeouts(
        connection=second * 5 + timedelta(milliseconds=n),
        idle=second * 60,
        request=second * 15,
        stream_idle=second * 30,
        max_stream=timedelta(),
        max_connection=timedelta(),
        request_headers=second * 10,
        http=http,
    )
    return Applied(mesh_timeout_hooks.EFFECT.hooks, conf)


def _permission(n: int, rules: int, *, http: bool = True) -> Applied:
    allow = (*(f"caller-{rule}" for rule in range(rules - 1)), f"caller-new-{n}")
    permission = Permission(
        allow=tuple(Principal((names.spiffe_id("default", name),), ()) for name in allow),
        shadow_deny=(),
    )
    prefix = "" if http else f"inbound_10_0_0_{n}_8080."
    return Applied(mesh_traffic_permission_hooks.EFFECT.hooks, Rbac(http, prefix, permission))


# --- arguments ---


def _eds(n: int, *applied: Applied, mtls: bool = True) -> EdsCluster:
    name = f"service-{n}"
    sans = (names.spiffe_id("default", name),)
    tls = UpstreamTls(names.tag_sni(_tags(n), "default"), sans, IDENTITY, CA) if mtls else None
    return EdsCluster(name, Protocol.HTTP, tls, applied=applied)


def _tags(n: int) -> tuple[tuple[str, str], ...]:
    return (("kuma.io/service", f"service-{n}"),)


def _outbound(n: int, applied: Applied, protocol: Protocol, routes: int = 1) -> OutboundListener:
    paths = [None, *(PathMatch(MatchKind.EXACT, f"/{n}/{each}") for each in range(routes - 1))]
    target = (WeightedCluster(f"service-{n}", 1),)
    return OutboundListener(
        name=names.outbound_listener_name("127.0.0.1", 10_000 + n),
        address="127.0.0.1",
        port=10_000 + n,
        protocol=protocol,
        service=f"service-{n}",
        tags=_tags(n),
        routes=tuple(Route(f"r{n}", RouteMatch(p), target, applied=(applied,)) for p in paths),
        applied=(applied,),
    )


def _inbound(n: int, protocol: Protocol, *applied: Applied) -> InboundListener:
    return InboundListener(
        name=names.inbound_listener_name("10.0.0.1", 8080),
        address="10.0.0.1",
        port=8080,
        protocol=protocol,
        service=f"service-{n}",
        cluster=f"localhost:{8080 + n}",
        tags=(("kuma.io/protocol", "http"), *_tags(n), ("kuma.io/zone", "east")),
        tls=DownstreamTls((names.spiffe_prefix("default"),), IDENTITY, CA),
        applied=applied,
    )


def _inbound_http(n: int, rules: int) -> InboundListener:
    return _inbound(n, Protocol.HTTP, _timeouts(n), _permission(n, rules))


def _inbound_tcp(n: int, rules: int) -> InboundListener:
    return _inbound(n, Protocol.TCP, _timeouts(n, http=False), _permission(n, rules, http=False))


def _instance(n: int) -> InboundListener:
    """One of many of a service: name and address are its own."""
    address = f"10.0.{n // 250}.{n % 250}"
    name = names.inbound_listener_name(address, 8080)
    return replace(INSTANCE, name=name, address=address)


def _tcp_instance(n: int) -> InboundListener:
    """As `_instance`; the permission's filter shows in its statistics which listener it is of."""
    address = f"10.0.{n // 250}.{n % 250}"
    rbac = TCP_INSTANCE.applied[1]
    prefix = names.stat_prefix(names.inbound_listener_name(address, 8080))
    own = replace(rbac, conf=replace(rbac.conf, stat_prefix=f"{prefix}."))  # type: ignore[type-var]
    name = names.inbound_listener_name(address, 8080)
    return replace(TCP_INSTANCE, name=name, address=address, applied=(TCP_INSTANCE.applied[0], own))


def _local(n: int) -> LocalCluster:
    return LocalCluster(f"localhost:{n}", "127.0.0.1", n, Protocol.HTTP, (_timeouts(n),))


def _local_instance(n: int) -> LocalCluster:
    address = f"10.0.{n // 250}.{n % 250}"
    return LocalCluster("localhost:8080", address, 8080, Protocol.HTTP, INSTANCE.applied[:1])


def _endpoints(n: int, size: int) -> Endpoints:
    """All of them new."""
    net = f"10.{n // 250}.{n % 250}"
    found = tuple(replace(e, address=f"{net}.{i}", port=i + 1) for i, e in enumerate(ENDPOINTS))
    return Endpoints("service", found[:size])


def _one_more(n: int) -> Endpoints:
    return Endpoints("service", (*ENDPOINTS[1:], replace(ENDPOINTS[0], port=n + 1)))


def _admin(n: int) -> AdminListener:
    return AdminListener(
        names.ADMIN_LISTENER, "10.0.0.1", n + 1, names.READINESS_CLUSTER, names.ADMIN_CLUSTER, TLS
    )


INSTANCE = _inbound_http(SAME, 10)
TCP_INSTANCE = _inbound_tcp(SAME, 10)
TLS = issue_admin_server(new_admin_ca(1_800_000_000.0), ("10.0.0.1",), ".i", 1_800_000_000.0)


def _ingress(chains: tuple[SniChain, ...]) -> SniListener:
    return SniListener("inbound:10.0.0.1:10000", "10.0.0.1", 10_000, chains)


def _ingress_new(n: int, size: int) -> SniListener:
    return _ingress(tuple(replace(c, sni=f"{n}-{c.sni}") for c in CHAINS[:size]))


def _ingress_one_more(n: int) -> SniListener:
    return _ingress((*CHAINS[:1_000], replace(CHAINS[1_000], sni=f"t{n}")))


CASES = (
    Case("cluster_eds_plain", "cluster", lambda n: _eds(n, mtls=False)),
    Case("cluster_eds_timeouts", "cluster", lambda n: _eds(n, _timeouts(n), mtls=False)),
    Case("cluster_eds_mtls", "cluster", lambda n: _eds(n, _timeouts(n)), 150, 40, compared=True),
    Case("cluster_eds_changed", "cluster", lambda n: _eds(SAME, _timeouts(n)), 150, 25),
    Case("cluster_local", "cluster", _local, 150),
    Case("cluster_local_assembled", "cluster", _local_instance, 15, 12),
    Case("endpoints_1", "endpoints", lambda n: _endpoints(n, 1)),
    Case("endpoints_10", "endpoints", lambda n: _endpoints(n, 10)),
    Case("endpoints_100", "endpoints", lambda n: _endpoints(n, 100), compared=True),
    Case("endpoints_1000", "endpoints", lambda n: _endpoints(n, 1_000)),
    Case("endpoints_1000_changed", "endpoints", _one_more, 300, 10),
    Case(
        "outbound_http",
        "listener",
        lambda n: _outbound(n, _timeouts(n), Protocol.HTTP),
        compared=True,
    ),
    Case("outbound_http_10", "listener", lambda n: _outbound(n, _timeouts(n), Protocol.HTTP, 10)),
    Case(
        "outbound_http_changed",
        "listener",
        lambda n: _outbound(SAME, _timeouts(n), Protocol.HTTP),
        300,
        120,
    ),
    Case(
        "outbound_tcp",
        "listener",
        lambda n: _outbound(n, _timeouts(n, http=False), Protocol.TCP),
    ),
    Case("inbound_http_rbac_1", "listener", lambda n: _inbound_http(n, 1)),
    Case("inbound_http_rbac_10", "listener", lambda n: _inbound_http(n, 10), compared=True),
    Case("inbound_http_rbac_100", "listener", lambda n: _inbound_http(n, 100)),
    Case("inbound_tcp_rbac_10", "listener", lambda n: _inbound_tcp(n, 10)),
    Case(
        "inbound_timeouts_changed",
        "listener",
        lambda n: _inbound(SAME, Protocol.HTTP, _timeouts(n), _permission(SAME, 10)),
        400,
        75,
    ),
    Case(
        "inbound_rbac_changed",
        "listener",
        lambda n: _inbound(SAME, Protocol.HTTP, _timeouts(SAME), _permission(n, 10)),
        400,
        75,
    ),
    Case("inbound_assembled", "listener", _instance, 15, 12),
    Case("inbound_tcp_assembled", "listener", _tcp_instance),
    Case("admin_assembled", "listener", _admin),
    Case("ingress_100", "listener", lambda n: _ingress_new(n, 100)),
    Case("ingress_1000", "listener", lambda n: _ingress_new(n, 1_000)),
    Case("ingress_1000_changed", "listener", _ingress_one_more, most=15),
)
