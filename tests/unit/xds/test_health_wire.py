"""HDS as Envoy's own message classes read and write it."""

from __future__ import annotations

import warnings
from datetime import timedelta

import pytest

from xds.discovery import RemoteProtocolError
from xds.health import Check, HealthReport, Introduction, Specifier
from xds.health_wire import (
    introduction_bytes,
    parse_health_message,
    report_bytes,
    specifier_bytes,
)

with warnings.catch_warnings():  # Class definitions of this release of the library warn.
    warnings.simplefilter("ignore", DeprecationWarning)
    from envoy_data_plane.envoy.config.core.v3 import HealthStatus, Node
    from envoy_data_plane.envoy.service.health.v3 import (
        ClusterEndpointsHealth,
        EndpointHealth,
        EndpointHealthResponse,
        HealthCheckRequest,
        HealthCheckRequestOrEndpointHealthResponse,
        HealthCheckSpecifier,
        LocalityEndpointsHealth,
    )

ADMIN = Check("kuma:envoy:admin", pipe="/run/admin.sock", path="/ready")
APP = Check(
    "localhost:8080",
    address="10.0.0.1",
    port=8080,
    source="127.0.0.6",
    timeout_s=0.5,
    interval_s=3,
    unhealthy_threshold=4,
    healthy_threshold=5,
)


def test_specifier_is_what_an_envoy_reads() -> None:
    found = HealthCheckSpecifier().parse(specifier_bytes(Specifier((ADMIN, APP), 5)))
    assert found.interval == timedelta(seconds=5)
    admin, app = found.cluster_health_checks
    (check,), (place,) = admin.health_checks, admin.locality_endpoints[0].endpoints
    assert (admin.cluster_name, place.address.pipe.path) == ("kuma:envoy:admin", "/run/admin.sock")  # type: ignore[union-attr]
    assert check.http_health_check is not None
    assert check.http_health_check.path == "/ready"
    assert admin.upstream_bind_config is None
    (check,), (place,) = app.health_checks, app.locality_endpoints[0].endpoints
    address = place.address.socket_address  # type: ignore[union-attr]
    assert (app.cluster_name, address.address, address.port_value) == (  # type: ignore[union-attr]
        "localhost:8080",
        "10.0.0.1",
        8080,
    )
    assert check.tcp_health_check is not None
    assert (check.timeout, check.interval) == (timedelta(milliseconds=500), timedelta(seconds=3))
    assert check.no_traffic_interval == timedelta(seconds=3)
    assert (check.unhealthy_threshold, check.healthy_threshold) == (4, 5)
    assert app.upstream_bind_config.source_address.address == "127.0.0.6"  # type: ignore[union-attr]


def test_introduction_of_an_envoy_is_its_node() -> None:
    message = HealthCheckRequestOrEndpointHealthResponse(
        health_check_request=HealthCheckRequest(node=Node(id="default.web", cluster="web"))
    )
    assert parse_health_message(bytes(message)) == Introduction("default.web")
    assert parse_health_message(introduction_bytes(Introduction("a"))) == Introduction("a")


@pytest.mark.parametrize(
    ("statuses", "healthy"),
    [
        (["HEALTHY"], True),
        (["UNKNOWN"], True),
        (["UNHEALTHY"], False),
        (["TIMEOUT"], False),
        (["DRAINING"], False),
        (["DEGRADED"], False),
        (["HEALTHY", "UNHEALTHY"], False),
    ],
)
def test_cluster_is_healthy_when_all_its_endpoints_are(statuses: list[str], healthy: bool) -> None:
    endpoints = [EndpointHealth(health_status=HealthStatus[name]) for name in statuses]
    cluster = ClusterEndpointsHealth(
        cluster_name="c",
        locality_endpoints_health=[LocalityEndpointsHealth(endpoints_health=endpoints)],
    )
    response = EndpointHealthResponse(cluster_endpoints_health=[cluster])
    message = HealthCheckRequestOrEndpointHealthResponse(endpoint_health_response=response)
    assert parse_health_message(bytes(message)) == HealthReport({"c": healthy})
    report = HealthReport({"c": healthy})
    assert parse_health_message(report_bytes(report)) == report


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x0a\x7f"])
def test_what_is_neither_is_the_peers_fault(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_health_message(data)
