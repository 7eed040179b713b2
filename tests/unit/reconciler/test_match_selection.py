"""Which proxies and inbounds a policy selects, and which policy wins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.match import precedence, select
from tests.support.mesh import a_dataplane, a_policy, an_inbound, selecting

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

CONF = {"to": [{"targetRef": {"kind": "Mesh"}, "default": {"idleTimeout": "1s"}}]}
WEB = a_dataplane(
    "web-1",
    an_inbound("web", port=80, tags={"version": "v1"}, name="main"),
    an_inbound("web-admin", port=81, tags={"version": "v2"}),
    labels={"app": "web", "team": "a", "kuma.io/origin": "zone", "kuma.io/zone": "east"},
)
GATEWAY = a_dataplane(
    "edge-1", gateway=True, gateway_tags=(("kuma.io/service", "edge"), ("version", "v1"))
)


def timeout(target: dict[str, object] | None, name: str = "t", **labels: str) -> MeshResource:
    spec = dict(CONF) if target is None else {"targetRef": target, **CONF}
    named = {
        {
            "zone": "kuma.io/zone",
            "origin": "kuma.io/origin",
            "effect": "kuma.io/effect",
            "role": "kuma.io/policy-role",
            "namespace": "k8s.kuma.io/namespace",
        }[key]: value
        for key, value in labels.items()
    }
    return a_policy("MeshTimeout", name, spec, labels=named)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (None, (0, 1)),
        ({"kind": "Mesh"}, (0, 1)),
        ({"kind": "Mesh", "proxyTypes": ["Sidecar"]}, (0, 1)),
        ({"kind": "Mesh", "proxyTypes": ["Gateway"]}, None),
        ({"kind": "Dataplane"}, (0, 1)),
        ({"kind": "Dataplane", "name": "web-1"}, (0, 1)),
        ({"kind": "Dataplane", "name": "web-2"}, None),
        ({"kind": "Dataplane", "labels": {"app": "web"}}, (0, 1)),
        ({"kind": "Dataplane", "labels": {"app": "web", "team": "b"}}, None),
        ({"kind": "Dataplane", "labels": {"app": "web"}, "sectionName": "main"}, (0,)),
        ({"kind": "Dataplane", "sectionName": "81"}, (1,)),
        ({"kind": "Dataplane", "sectionName": "other"}, None),
        ({"kind": "MeshSubset", "tags": {"version": "v2"}}, (1,)),
        ({"kind": "MeshSubset", "tags": {"version": "v3"}}, None),
        ({"kind": "MeshService", "name": "web"}, (0,)),
        ({"kind": "MeshServiceSubset", "name": "web", "tags": {"version": "v1"}}, (0,)),
        ({"kind": "MeshServiceSubset", "name": "web", "tags": {"version": "v2"}}, None),
        ({"kind": "MeshGateway", "name": "web"}, None),
    ],
)
def test_target_selects_inbounds(
    target: dict[str, object] | None, expected: tuple[int, ...] | None
) -> None:
    policy = timeout(target)
    assert select(policy, WEB) == expected
    found = selecting([policy], WEB)
    assert [s.inbounds for s in found] == ([] if expected is None else [expected])


def test_delegated_gateway_is_selected_without_inbounds() -> None:
    assert select(timeout({"kind": "Mesh"}), GATEWAY) == ()
    assert select(timeout({"kind": "MeshService", "name": "edge"}), GATEWAY) == ()
    assert select(timeout({"kind": "Mesh", "proxyTypes": ["Sidecar"]}), GATEWAY) is None


def test_shadow_policy_selects_nothing() -> None:
    assert selecting([timeout(None, effect="shadow")], WEB) == ()


def test_zone_policy_stays_in_its_zone() -> None:
    assert select(timeout(None, origin="zone", zone="east"), WEB) is not None
    assert select(timeout(None, origin="zone", zone="west"), WEB) is None
    assert select(timeout(None, origin="zone", zone="west", role="producer"), WEB) is not None


def test_consumer_policy_stays_in_its_namespace() -> None:
    assert select(timeout(None, role="consumer", namespace="shop"), WEB) is None


def test_more_specific_policies_come_later() -> None:
    ordered = [
        timeout({"kind": "Mesh"}, "mesh", origin="global"),
        timeout({"kind": "Mesh"}, "mesh-zone", origin="zone", zone="east"),
        timeout({"kind": "Dataplane"}, "labels"),
        timeout({"kind": "Dataplane", "sectionName": "80"}, "labels-section"),
        timeout({"kind": "Dataplane", "name": "web-1"}, "name"),
        timeout({"kind": "MeshSubset", "tags": {"version": "v1"}}, "subset"),
        timeout({"kind": "MeshService", "name": "web"}, "service"),
        timeout({"kind": "MeshServiceSubset", "name": "web"}, "service-subset"),
    ]
    assert sorted(ordered, key=precedence) == ordered
    assert [s.policy for s in selecting(reversed(ordered), WEB)] == ordered


def test_of_equals_the_smallest_name_wins() -> None:
    a, b = timeout(None, "a"), timeout(None, "b")
    assert sorted([a, b], key=precedence) == [b, a]


def test_labels_of_services_select_no_inbound_that_names_no_service() -> None:
    bare = a_dataplane("bare-1", replace(an_inbound("x"), tags=()))
    assert select(timeout({"kind": "MeshService", "labels": {"app": "web"}}), bare) is None
