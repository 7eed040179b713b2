"""HDS messages to bytes and back. Pure; the only place that knows how they are encoded."""

from __future__ import annotations

from datetime import timedelta

from google.protobuf.message import DecodeError

from xds.discovery import RemoteProtocolError
from xds.health import Check, HealthReport, Introduction, Specifier
from xds.proto import health_pb2 as pb

# As Kuma reads a report: what was not checked yet counts as healthy.
_HEALTHY = (pb.HEALTHY, pb.UNKNOWN)


def parse_health_message(data: bytes) -> Introduction | HealthReport:
    """Raises RemoteProtocolError for bytes that are neither."""
    message = pb.HealthCheckRequestOrEndpointHealthResponse()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise RemoteProtocolError(f"{len(data)} bytes are no HDS message: {error}") from error
    match message.WhichOneof("request_type"):
        case "health_check_request":
            return Introduction(message.health_check_request.node.id)
        case "endpoint_health_response":
            return _report(message.endpoint_health_response)
        case _:
            raise RemoteProtocolError("an HDS message is neither an introduction nor a report")


def _report(message: pb.EndpointHealthResponse) -> HealthReport:
    return HealthReport(
        {
            cluster.cluster_name: all(
                endpoint.health_status in _HEALTHY
                for locality in cluster.locality_endpoints_health
                for endpoint in locality.endpoints_health
            )
            for cluster in message.cluster_endpoints_health
        }
    )


def specifier_bytes(specifier: Specifier) -> bytes:
    message = pb.HealthCheckSpecifier(
        cluster_health_checks=map(_check, specifier.checks),
        interval=timedelta(seconds=specifier.interval_s),
    )
    return message.SerializeToString(deterministic=True)


def _check(check: Check) -> pb.ClusterHealthCheck:
    address = pb.Address(pipe=pb.Pipe(path=check.pipe)) if check.pipe else _socket(check)
    health = pb.HealthCheck(
        timeout=timedelta(seconds=check.timeout_s),
        interval=timedelta(seconds=check.interval_s),
        # Nothing else sends to these clusters; without it Envoy would look once a minute.
        no_traffic_interval=timedelta(seconds=check.interval_s),
    )
    health.unhealthy_threshold.value = check.unhealthy_threshold
    health.healthy_threshold.value = check.healthy_threshold
    if check.path:
        health.http_health_check.path = check.path
    else:
        health.tcp_health_check.SetInParent()
    found = pb.ClusterHealthCheck(
        cluster_name=check.cluster,
        health_checks=[health],
        locality_endpoints=[pb.LocalityEndpoints(endpoints=[pb.Endpoint(address=address)])],
    )
    if check.source:
        found.upstream_bind_config.source_address.address = check.source
    return found


def _socket(check: Check) -> pb.Address:
    return pb.Address(socket_address=pb.SocketAddress(address=check.address, port_value=check.port))


def introduction_bytes(introduction: Introduction) -> bytes:
    """As an Envoy says it; for clients of this protocol."""
    message = pb.HealthCheckRequestOrEndpointHealthResponse()
    message.health_check_request.node.id = introduction.node_id
    return message.SerializeToString(deterministic=True)


def report_bytes(report: HealthReport) -> bytes:
    """As an Envoy says it; for clients of this protocol."""
    message = pb.HealthCheckRequestOrEndpointHealthResponse()
    response = message.endpoint_health_response
    response.SetInParent()
    for cluster, healthy in report.healthy.items():
        status = pb.HEALTHY if healthy else pb.UNHEALTHY
        endpoints = pb.LocalityEndpointsHealth(
            endpoints_health=[pb.EndpointHealth(health_status=status)]
        )
        response.cluster_endpoints_health.add(
            cluster_name=cluster, locality_endpoints_health=[endpoints]
        )
    return message.SerializeToString(deterministic=True)
