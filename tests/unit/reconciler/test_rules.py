"""What matching policies say together: towards a destination, for callers by tags and by id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciler.model.resource import SERVICE
from reconciler.policies.inbound_match import InboundMatch
from reconciler.policies.mesh_timeout import POLICY
from reconciler.rules import (
    SubsetRule,
    catch_all,
    inbound_rules,
    route_conf,
    rule_entries,
    subset_rules,
    to_conf,
    to_entries,
)
from tests.support.mesh import a_dataplane, a_policy, an_inbound, selecting

WEB = a_dataplane("web-1", an_inbound("web"), labels={"app": "web"})
MESH = {"kind": "Mesh"}


def timeouts(*policies: tuple[str, dict[str, Any], list[tuple[dict[str, Any], str]]]) -> Any:
    """(name, top target, [(to target, idleTimeout)]) as entries in force for WEB."""
    made = [
        a_policy(
            "MeshTimeout",
            name,
            {
                "targetRef": top,
                "to": [{"targetRef": t, "default": {"idleTimeout": idle}} for t, idle in items],
            },
        )
        for name, top, items in policies
    ]
    return to_entries(selecting(made, WEB))


def idle_s(entries: Any, service: str, **names: Any) -> float | None:
    conf = to_conf(entries, ((SERVICE, service),), POLICY.merge, **names)
    return conf.value.idle / timedelta(seconds=1) if conf else None


def test_destination_gets_items_for_it_and_for_the_mesh() -> None:
    entries = timeouts(
        ("p", MESH, [(MESH, "1s"), ({"kind": "MeshService", "name": "backend"}, "2s")])
    )
    assert idle_s(entries, "backend") == 2
    assert idle_s(entries, "other") == 1


def test_no_item_no_conf() -> None:
    entries = timeouts(("p", MESH, [({"kind": "MeshService", "name": "backend"}, "2s")]))
    assert idle_s(entries, "other") is None


def test_more_specific_top_level_wins_over_more_specific_item() -> None:
    """Subset rules keep the policies' order; this differs from rules for real resources."""
    entries = timeouts(
        ("a", MESH, [({"kind": "MeshService", "name": "backend"}, "2s")]),
        ("b", {"kind": "Dataplane", "labels": {"app": "web"}}, [(MESH, "3s")]),
    )
    assert idle_s(entries, "backend") == 3


def test_last_item_of_a_policy_wins() -> None:
    entries = timeouts(("p", MESH, [(MESH, "1s"), (MESH, "2s")]))
    assert idle_s(entries, "backend") == 2


def test_kubernetes_service_names() -> None:
    by_namespace = {"kind": "MeshService", "name": "backend", "namespace": "shop"}
    entries = timeouts(("p", MESH, [(by_namespace, "2s")]))
    assert idle_s(entries, "backend_shop_svc_8080") == 2
    assert idle_s(entries, "backend_other_svc_8080") is None
    sectioned = timeouts(("p", MESH, [({**by_namespace, "sectionName": "8080"}, "2s")]))
    assert idle_s(sectioned, "backend_shop_svc_8080") == 2
    assert idle_s(sectioned, "backend_shop_svc_9090") is None


def test_labels_select_services_by_their_resources() -> None:
    entries = timeouts(("p", MESH, [({"kind": "MeshService", "labels": {"app": "b"}}, "2s")]))
    assert idle_s(entries, "backend") is None
    assert idle_s(entries, "backend", labelled=lambda _: frozenset({"backend"})) == 2


def test_conf_of_a_route_holds_mesh_items_and_its_own() -> None:
    route = a_policy("MeshHTTPRoute", "r", {"to": []})
    ref = {"kind": "MeshHTTPRoute", "name": "r"}
    service = {"kind": "MeshService", "name": "backend"}
    entries = timeouts(("p", MESH, [(MESH, "1s"), (service, "9s"), (ref, "2s")]))
    conf = route_conf(entries, route, POLICY.merge)
    assert conf is not None
    assert conf.value.idle == timedelta(seconds=2)
    assert route_conf(timeouts(("p", MESH, [(MESH, "1s")])), route, POLICY.merge) is None


def test_a_policy_for_a_route_says_nothing_of_other_traffic() -> None:
    route = a_policy("MeshHTTPRoute", "r", {"to": []})
    entries = timeouts(("p", {"kind": "MeshHTTPRoute", "name": "r"}, [(MESH, "2s")]))
    conf = route_conf(entries, route, POLICY.merge)
    assert conf is not None
    assert conf.value.idle == timedelta(seconds=2)
    assert idle_s(entries, "backend") is None


@pytest.mark.parametrize("kind", ["MeshExternalService", "MeshMultiZoneService"])
def test_a_destination_by_tags_is_no_resource_of_the_same_name(kind: str) -> None:
    entries = timeouts(("p", MESH, [({"kind": kind, "name": "backend"}, "2s")]))
    assert idle_s(entries, "backend") is None


# --- from ---


def last(weak: str, strong: str) -> str:
    return strong


B2 = [((), "Deny"), ((("team", "a"),), "Allow"), ((("env", "dev"),), "AllowWithShadowDeny")]


def test_subsets_become_disjoint_rules_with_negations() -> None:
    assert subset_rules(B2, last) == (
        SubsetRule((("env", "dev"), ("team", "a")), (), "AllowWithShadowDeny"),
        SubsetRule((("env", "dev"),), (("team", "a"),), "AllowWithShadowDeny"),
        SubsetRule((("team", "a"),), (("env", "dev"),), "Allow"),
        SubsetRule((), (("env", "dev"), ("team", "a")), "Deny"),
    )


def test_confs_that_replace_need_fewer_rules() -> None:
    assert subset_rules(B2, last, replaces=True) == (
        SubsetRule((("env", "dev"),), (), "AllowWithShadowDeny"),
        SubsetRule((("team", "a"),), (("env", "dev"),), "Allow"),
        SubsetRule((), (("env", "dev"), ("team", "a")), "Deny"),
    )


def test_many_independent_keys_do_not_explode() -> None:
    items = [((), "Deny"), *((((f"key-{i}", "x"),), "Allow") for i in range(40))]
    items = [(tags if isinstance(tags, tuple) else (), conf) for tags, conf in items]
    assert len(subset_rules(items, last, replaces=True)) == 41


# --- rules ---


def rules_of(*rules: dict[str, Any]) -> Any:
    policy = a_policy("MeshTimeout", "p", {"rules": list(rules)})
    return rule_entries(selecting([policy], WEB), 0)


def test_rules_are_ordered_by_precision() -> None:
    def rule(*matches: dict[str, Any]) -> dict[str, object]:
        return {"matches": list(matches), "default": {"http": {"requestTimeout": "1s"}}}

    prefix = {"spiffeID": {"type": "Prefix", "value": "spiffe://m/"}}
    longer = {"spiffeID": {"type": "Prefix", "value": "spiffe://m/team"}}
    exact = {"spiffeID": {"type": "Exact", "value": "spiffe://m/web"}}
    sni = {**prefix, "sni": {"type": "Exact", "value": "a.b"}}
    found = inbound_rules(rules_of(rule(), rule(prefix, exact), rule(longer), rule(sni)))
    assert [r.match for r in found] == [
        InboundMatch(spiffe_exact="spiffe://m/web"),
        InboundMatch(spiffe_prefix="spiffe://m/team"),
        InboundMatch(spiffe_prefix="spiffe://m/", sni="a.b"),
        InboundMatch(spiffe_prefix="spiffe://m/"),
        None,
    ]


def test_from_is_read_as_a_rule_for_everybody() -> None:
    policy = a_policy(
        "MeshTimeout",
        "p",
        {"from": [{"targetRef": MESH, "default": {"idleTimeout": "3s"}}]},
    )
    conf = catch_all(rule_entries(selecting([policy], WEB), 0), POLICY.merge)
    assert conf is not None
    assert conf.value.idle == timedelta(seconds=3)
    assert conf.origins == (policy.key,)
