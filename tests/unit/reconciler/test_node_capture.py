"""What a proxy's node says of the capture of its application's traffic."""

from __future__ import annotations

import json
from typing import Any

from reconciler.model.resource import MeshResource
from reconciler.model.spec import DataplaneSpec, ReachableBackend, TransparentProxying
from reconciler.node_capture import NOTHING, CaptureTraits
from reconciler.registration import declared, traits_of
from tests.support.zone import dataplane
from xds.discovery import Node

WEB = dataplane("web-1", "web", "backend")
IN_METADATA = "feature-transparent-proxy-in-dataplane-metadata"
REDIRECTION = {
    "ipFamilyMode": "dualstack",
    "redirect": {
        "inbound": {"enabled": True, "port": 15006.0},
        "outbound": {"enabled": True, "port": 15001.0},
        "dns": {"enabled": True, "port": 15054.0},
    },
}


def introduced(
    metadata: dict[str, object], written: dict[str, Any] | None = None
) -> tuple[MeshResource, CaptureTraits]:
    networking = {k: v for k, v in WEB["networking"].items() if k != "outbound"}
    if written is not None:
        networking["transparentProxying"] = written
    text = json.dumps({**WEB, "networking": networking})
    node = Node("default.web-1", metadata={"dataplane.resource": text, **metadata})
    found = declared(node, "east")
    assert isinstance(found, MeshResource), found
    return found, traits_of(node, found).capture


def captured(
    metadata: dict[str, object], written: dict[str, Any] | None = None
) -> TransparentProxying | None:
    spec = introduced(metadata, written)[0].spec
    assert isinstance(spec, DataplaneSpec)
    return spec.transparent


def test_a_redirection_in_the_metadata_is_the_dataplanes() -> None:
    node: dict[str, object] = {"features": [IN_METADATA], "transparentProxy": REDIRECTION}
    assert captured(node) == TransparentProxying(15006, 15001)
    one_family = {**REDIRECTION, "ipFamilyMode": "ipv4"}
    assert captured({**node, "transparentProxy": one_family}) == TransparentProxying(
        15006, 15001, ipv6=False
    )


def test_it_goes_before_the_ports_that_are_written_and_keeps_all_else() -> None:
    written = {
        "redirectPortInbound": 1,
        "redirectPortOutbound": 2,
        "ipFamilyMode": "IPv4",
        "reachableServices": ["backend"],
        "directAccessServices": ["*"],
        "reachableBackends": {"refs": [{"kind": "MeshService", "name": "backend", "port": 80}]},
    }
    node: dict[str, object] = {"features": [IN_METADATA], "transparentProxy": REDIRECTION}
    backend = ReachableBackend("MeshService", "backend", port=80)
    found = TransparentProxying(15006, 15001, True, ("backend",), (backend,), direct_access=("*",))
    assert captured(node, written) == found
    # Without the feature, what it says there is not meant so.
    said = captured({"transparentProxy": REDIRECTION}, written)
    assert said is not None
    assert (said.redirect_port_inbound, said.redirect_port_outbound, said.ipv6) == (1, 2, False)


def test_ways_that_are_off_are_not_captured() -> None:
    node: dict[str, object] = {"features": [IN_METADATA]}
    off = {way: {"enabled": False, "port": 15001.0} for way in ("inbound", "outbound", "dns")}
    assert captured({**node, "transparentProxy": {"redirect": off}}) is None
    written = {"redirectPortInbound": 15006, "redirectPortOutbound": 15001}
    assert captured({**node, "transparentProxy": {"redirect": off}}, written) is None
    outbound = {**off, "outbound": {"enabled": True, "port": 15001.0}}
    assert captured({**node, "transparentProxy": {"redirect": outbound}}) == TransparentProxying(
        0, 15001
    )


def test_ports_that_are_none_are_not_taken() -> None:
    for port in (0, -1, 65_536, 1.5, True, "15001", None, float("inf")):
        redirect = {"outbound": {"enabled": True, "port": port}}
        node: dict[str, object] = {
            "features": [IN_METADATA],
            "transparentProxy": {"redirect": redirect},
        }
        assert captured(node) is None, port
    for proxying in ("on", {"redirect": 1}, {"redirect": {"outbound": 1}}):
        assert captured({"features": [IN_METADATA], "transparentProxy": proxying}) is None


def test_who_answers_names_is_said_by_features_and_ports() -> None:
    assert introduced({})[1] == NOTHING
    node: dict[str, object] = {"dataplane.dns.port": "15054", "workdir": "/run/dp"}
    assert introduced(node)[1] == CaptureTraits(dns_port=15054, workdir="/run/dp")
    features = ["feature-embedded-dns", "feature-strict-inbound-ports"]
    known = introduced({"features": features, "dataplane.appProbeProxy.enabled": "true"})[1]
    assert known == CaptureTraits(embedded_dns=True, strict_ports=True, probe_proxy=True)


def test_names_are_not_told_where_dns_is_not_captured() -> None:
    node: dict[str, object] = {
        "dataplane.dns.port": "15054",
        "features": [IN_METADATA],
        "transparentProxy": REDIRECTION,
    }
    assert introduced(node)[1].dns_port == 15054
    redirect = {**REDIRECTION["redirect"], "dns": {"enabled": False, "port": 15054.0}}  # type: ignore[dict-item]
    assert introduced({**node, "transparentProxy": {"redirect": redirect}})[1].dns_port == 0
