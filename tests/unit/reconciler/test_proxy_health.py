"""What a sidecar is asked to check, and what its report makes of its Dataplane."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.model.resource import MeshResource
from reconciler.proxy_health import ADMIN, Pace, specifier_of, with_kept_health, with_report
from reconciler.registration import from_document
from reconciler.view import ProxyTraits
from tests.support.zone import dataplane
from xds.health import Check, HealthReport

TRAITS = ProxyTraits(node_id="default.web", admin_pipe="/run/admin.sock")
PROBE: dict[str, Any] = {"tcp": {}}


def made(*inbounds: dict[str, Any], **networking: Any) -> MeshResource:
    document = dataplane("web", "web")
    tags = {"kuma.io/service": "web"}
    document["networking"]["inbound"] = [{"tags": tags, **inbound} for inbound in inbounds]
    document["networking"] |= networking
    found = from_document(document, "east")
    assert isinstance(found, MeshResource), found
    return found


def health(resource: MeshResource) -> list[bool]:
    return [inbound.healthy for inbound in resource.spec.inbounds]  # type: ignore[union-attr]


def test_probed_inbounds_are_checked_and_envoy_itself() -> None:
    probe = {
        "timeout": "0.5s",
        "interval": "3s",
        "unhealthyThreshold": 4,
        "healthyThreshold": 5,
        "tcp": {},
    }
    resource = made(
        {"port": 80, "servicePort": 8080, "serviceProbe": probe},
        {"port": 81, "servicePort": 8081},
        {"port": 82, "servicePort": 8082, "serviceAddress": "127.0.0.1", "serviceProbe": {}},
    )
    found = specifier_of(resource, TRAITS, 5.0)
    assert found.interval_s == 5.0
    assert found.checks == (
        Check(ADMIN, pipe="/run/admin.sock", path="/ready"),
        Check("localhost:8080", "10.0.0.1", 8080, "", "", "", 0.5, 3.0, 4, 5),
        Check("localhost:8082", "127.0.0.1", 8082, "", "", "", 2.0, 1.0, 1, 1),
    )


def test_admin_on_a_port_is_asked_there() -> None:
    traits = ProxyTraits(node_id="default.web", admin_port=9901)
    (check,) = specifier_of(made({"port": 80, "servicePort": 8080}), traits, 5.0).checks
    assert check == Check(ADMIN, address="127.0.0.1", port=9901, path="/ready")


def test_who_has_nothing_to_probe_reports_less_often() -> None:
    """A thousand reports in five seconds that say nothing would be most of an idle zone's work."""
    plain = made({"port": 80, "servicePort": 8080})
    probed = made({"port": 80, "servicePort": 8080, "serviceProbe": PROBE})
    assert specifier_of(plain, TRAITS, 0.5).interval_s == 20.0
    assert specifier_of(probed, TRAITS, 0.5).interval_s == 0.5
    assert specifier_of(plain, TRAITS, 60.0).interval_s == 60.0


def test_many_probed_proxies_report_less_often_and_never_less_than_with_kuma() -> None:
    counts = (1, 200, 201, 400, 401, 900, 1_601, 100_000)
    found, pace = [], Pace()
    for count in counts:
        pace = pace.of(count, 0.5)
        found.append(pace.interval_s(0.5))
    assert found == [0.5, 0.5, 1.0, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert pace.of(1, 0.5) == Pace(1, 1)
    assert Pace().of(100_000, 60.0).interval_s(60.0) == 60.0


def test_one_proxy_that_comes_and_goes_changes_no_pace() -> None:
    fast, slow = Pace().of(200, 0.5), Pace().of(201, 0.5)
    assert (fast.factor, slow.factor) == (1, 2)
    assert [slow.of(count, 0.5).factor for count in (200, 101, 100)] == [2, 2, 1]


def test_redirected_traffic_is_probed_from_an_address_that_is_not_redirected() -> None:
    redirected = {"redirectPortInbound": 15006, "redirectPortOutbound": 15001}
    resource = made(
        {"port": 80, "servicePort": 8080, "serviceProbe": PROBE},
        {"port": 81, "servicePort": 81, "serviceAddress": "127.0.0.1", "serviceProbe": PROBE},
        {"port": 82, "servicePort": 82, "serviceAddress": "fd00::1", "serviceProbe": PROBE},
        transparentProxying=redirected,
    )
    found = {c.cluster: c.source for c in specifier_of(resource, TRAITS, 5.0).checks}
    assert found == {
        ADMIN: "",
        "localhost:8080": "127.0.0.6",
        "localhost:81": "",
        "localhost:82": "::6",
    }


def test_application_at_a_name_is_checked_once_the_name_has_an_address() -> None:
    probed = {"port": 80, "servicePort": 8080, "serviceProbe": PROBE}
    resource = made(probed, address="web.example")
    assert [c.cluster for c in specifier_of(resource, TRAITS, 5.0).checks] == [ADMIN]
    found = specifier_of(resource, TRAITS, 5.0, {"web.example": "10.9.9.9"}).checks
    assert [(c.cluster, c.address) for c in found] == [
        (ADMIN, ""),
        ("localhost:8080", "10.9.9.9"),
    ]


def test_probed_inbound_starts_not_ready_and_others_ready() -> None:
    resource = made(
        {"port": 80, "servicePort": 8080, "serviceProbe": PROBE}, {"port": 81, "servicePort": 8081}
    )
    assert health(resource) == [False, True]
    first, second = json.loads(resource.body)["networking"]["inbound"]
    assert (first["state"], first["health"]) == ("NotReady", {"ready": False})
    assert "state" not in second


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({}, [False, True]),
        ({ADMIN: True}, [False, True]),
        ({ADMIN: True, "localhost:8080": True}, [True, True]),
        ({"localhost:8080": True}, [True, True]),
        ({ADMIN: True, "localhost:8080": False}, [False, True]),
        ({ADMIN: False, "localhost:8080": True}, [False, False]),
        ({ADMIN: False}, [False, False]),
    ],
)
def test_inbound_is_ready_when_envoy_is_and_the_probed_application(
    report: dict[str, bool], expected: list[bool]
) -> None:
    resource = made(
        {"port": 80, "servicePort": 8080, "serviceProbe": PROBE}, {"port": 81, "servicePort": 8081}
    )
    assert health(with_report(resource, HealthReport(report))) == expected


def test_report_that_says_what_is_known_changes_nothing_at_all() -> None:
    resource = made(
        {"port": 80, "servicePort": 8080, "serviceProbe": PROBE}, {"port": 81, "servicePort": 8081}
    )
    well = HealthReport({ADMIN: True, "localhost:8080": True})
    after = with_report(resource, well)
    assert with_report(after, well) is after
    inbound = json.loads(after.body)["networking"]["inbound"]
    assert (inbound[0]["state"], inbound[0]["health"]) == ("Ready", {"ready": True})


def test_ignored_is_the_users_word() -> None:
    ignored = {"port": 80, "servicePort": 8080, "serviceProbe": PROBE, "state": "Ignored"}
    resource = made(ignored)
    assert with_report(resource, HealthReport({"localhost:8080": True})) is resource
    before = made({**ignored, "state": "Ready"})
    ready = with_report(before, HealthReport({"localhost:8080": True}))
    assert with_kept_health(resource, ready) is resource


def test_proxy_that_was_not_gone_keeps_what_was_reported() -> None:
    probed = {"port": 80, "servicePort": 8080, "serviceProbe": PROBE}
    resource = made(probed, {"port": 81, "servicePort": 8081, "serviceProbe": PROBE})
    ready = with_report(resource, HealthReport({"localhost:8080": True}))
    assert health(with_kept_health(resource, ready)) == [True, False]
    assert with_kept_health(resource, None) is resource
    moved = made({**probed, "port": 90})
    assert health(with_kept_health(moved, ready)) == [False]
