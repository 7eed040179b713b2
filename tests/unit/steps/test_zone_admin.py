"""The admin listener of each proxy: where it is, who it lets in, and when there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.steps import zone_state as z
from reconciler.steps.proxy_state import AdminCertificate
from reconciler.steps.zone_step import step
from tests.support.zone import INGRESS, Zone, dataplane, zone
from xds.discovery import DeltaRequest
from xds.resource import CLUSTER
from xds.view import AdminListener, AdminTls, HostCluster, PipeCluster

PIPE = {"dataplane.admin.port": "9901", "dataplane.admin.socketPath": "/w/kuma-envoy-admin.sock"}
TCP = {"dataplane.admin.port": "9901", "dataplane.admin.address": "127.0.0.1"}
READY = {"dataplane.readinessReporter.port": "9902"}


def view(made: Zone, node: str) -> Any:
    return made.state.proxies[node].view


def admin(made: Zone, node: str) -> AdminListener | None:
    found = [x for x in view(made, node).listeners if x.name == "kuma:envoy:admin"]
    return found[0] if found else None


def clusters(made: Zone, node: str) -> list[object]:
    return [c for c in view(made, node).clusters if c.name.startswith("kuma:")]


@pytest.mark.parametrize(
    ("document", "node", "address"),
    [(dataplane("web-1", "web"), "default.web-1", "10.0.0.1"), (INGRESS, ".ingress", "10.0.0.9")],
)
def test_listener_stands_on_the_proxys_address(
    document: dict[str, Any], node: str, address: str
) -> None:
    made = zone(admin_access=True)
    made.connect(document, said={**PIPE, **READY})
    tls = AdminTls(b"ca", b"chain", b"key", node)
    assert admin(made, node) == AdminListener(
        "kuma:envoy:admin",
        address,
        9901,
        "kuma:readiness",
        "kuma:envoy:admin",
        tls,
        reuse_port=False,
    )
    assert clusters(made, node) == [
        PipeCluster("kuma:envoy:admin", "/w/kuma-envoy-admin.sock"),
        HostCluster("kuma:readiness", "127.0.0.1", 9902),
    ]


def test_admin_on_tcp_is_reached_on_loopback() -> None:
    made = zone(admin_access=True)
    made.connect(dataplane("web-1", "web"), said={**TCP, **READY})
    assert clusters(made, "default.web-1")[0] == HostCluster("kuma:envoy:admin", "127.0.0.1", 9901)
    assert admin(made, "default.web-1") is not None


def test_readiness_is_on_the_loopback_of_the_proxys_family() -> None:
    made = zone(admin_access=True)
    made.connect(dataplane("web-1", "web", address="fd00::8"), said={**PIPE, **READY})
    assert clusters(made, "default.web-1")[1] == HostCluster("kuma:readiness", "::1", 9902)
    listener = admin(made, "default.web-1")
    assert listener is not None
    assert listener.address == "fd00::8"


@pytest.mark.parametrize("address", ["", "127.0.0.1", "0.0.0.0", "::"])
def test_no_listener_where_envoys_own_admin_listens(address: str) -> None:
    made = zone(admin_access=True)
    said = {**TCP, "dataplane.admin.address": address}
    made.connect(dataplane("web-1", "web", address="127.0.0.1"), said=said)
    assert admin(made, "default.web-1") is None


def test_on_loopback_with_a_pipe_there_is_one() -> None:
    """Nothing else listens there; real Kuma has none, and its admin calls to such a proxy fail."""
    made = zone(admin_access=True)
    made.connect(dataplane("web-1", "web", address="127.0.0.1"), said=PIPE)
    listener = admin(made, "default.web-1")
    assert listener is not None
    assert listener.ready_cluster == "kuma:envoy:admin"  # no reporter: Envoy says itself


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "localhost", ["127.0.0.1"]])
def test_proxy_that_would_be_a_relay_is_refused(address: object) -> None:
    """The proxy says where its admin interface is: only its own host is believed."""
    made = zone(admin_access=True)
    made.connect(dataplane("web-1", "web"), said={**TCP, "dataplane.admin.address": address})
    closing = made.state.refused["default.web-1"]
    assert closing.startswith("dataplane.admin.address: must be one of 127.0.0.1")


@pytest.mark.parametrize("part", ["inbound", "outbound"])
def test_admin_port_that_is_taken_is_refused(part: str) -> None:
    made = zone(admin_access=True)
    document = dataplane("web-1", "web", "backend")
    networking = document["networking"]
    networking["admin"] = {"port": 80 if part == "inbound" else 10001}
    networking["outbound"][0]["address"] = "10.0.0.1"
    made.connect(document, said=PIPE)
    assert "choose another" in made.state.refused["default.web-1"]


def test_default_admin_port_gives_way_to_an_inbound() -> None:
    """Nobody chose it; Envoy would refuse the later of the two listeners."""
    made = zone(admin_access=True)
    document = dataplane("web-1", "web")
    document["networking"]["inbound"][0]["port"] = 9901
    made.connect(document, said=PIPE)
    assert admin(made, "default.web-1") is None
    assert [x.name for x in view(made, "default.web-1").listeners] == ["inbound:10.0.0.1:9901"]


def test_first_configuration_comes_once_with_its_admin_listener() -> None:
    """Not without it first, to be replaced at once."""
    made = zone(admin_access=True)
    stream = made.connect(dataplane("web-1", "web"), said=PIPE)
    clusters = [r for r in made.sent[stream] if r.type_url == CLUSTER]
    assert len(clusters) == 1
    made.acknowledge_all(stream)
    made.request(stream, DeltaRequest(CLUSTER))
    assert not [e for e in made.effects if isinstance(e, z.IssueAdminCertificate)]


def test_certificate_outlives_a_reconnect_and_follows_the_addresses() -> None:
    made = zone(admin_access=True)
    stream = made.connect(dataplane("web-1", "web"), said=PIPE)
    first = admin(made, "default.web-1")
    made.lose(stream)
    stream = made.connect(dataplane("web-1", "web"), said=PIPE)
    assert not [e for e in made.effects if isinstance(e, z.IssueAdminCertificate)]
    assert first is not None
    assert first.tls is not None
    assert admin(made, "default.web-1") == first
    made.lose(stream)
    made.connect(dataplane("web-1", "web", address="10.0.0.2"), said=PIPE)
    certificate = made.state.proxies["default.web-1"].admin
    assert certificate is not None
    assert certificate.hosts == ("10.0.0.2",)


def test_what_an_envoy_says_of_itself_counts_as_it_comes_back() -> None:
    made = zone(admin_access=True)
    stream = made.connect(dataplane("web-1", "web"), said=PIPE)
    made.lose(stream)
    made.connect(dataplane("web-1", "web"), said={**PIPE, "dataplane.admin.port": "9903"})
    listener = admin(made, "default.web-1")
    assert listener is not None
    assert listener.port == 9903


def test_without_a_certificate_traffic_is_served_all_the_same() -> None:
    made = zone(admin_access=True)
    stream = made.connect(dataplane("web-1", "web"), said=PIPE)
    made.lose(stream)
    proxy = made.state.proxies["default.web-1"]
    proxies = made.state.proxies.insert("default.web-1", replace(proxy, admin=None))
    state = replace(made.state, proxies=proxies)
    failed = AdminCertificate(("10.0.0.1",), None)
    state, effects = step(state, z.AdminCertificateIssued("default.web-1", failed, "damaged"))
    assert [e.event for e in effects if isinstance(e, z.Note)] == ["admin.certificate_failed"]
    made.state = state
    made.connect(dataplane("web-1", "web"), said=PIPE)
    listener = admin(made, "default.web-1")
    assert listener is not None
    assert listener.tls is None
    assert "inbound:10.0.0.1:80" in [x.name for x in view(made, "default.web-1").listeners]
