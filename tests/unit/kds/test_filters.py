"""What goes down to a zone, line by line (facts/kds-wire.md 5.1): each feature that a zone lacks,
each object that stays, and the policies of zones that may pass.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.kds.codec import decode_entry
from reconciler.kds.filters import RelayRules, may_go_down, may_pass, policy_role
from reconciler.kds.zone_node import (
    ALL_FEATURES,
    FEATURES,
    ZoneFeatures,
    announced,
    zone_node,
)
from reconciler.model.resource import NAMESPACE, ROLE, ZONE, Labels, MeshResource, ResourceKey
from reconciler.state import EMPTY, from_resources
from tests.support.slices import sliced
from xds.discovery import Node

TO = [{"targetRef": {"kind": "Mesh"}, "default": {"idleTimeout": "1s"}}]
RULES = RelayRules(policies=frozenset({("west", "MeshTimeout")}))


def made(type_: str, name: str, data: Any, mesh: str = "default", **labels: str) -> MeshResource:
    return mesh_resource(ResourceKey(type_, mesh, name), Labels.of(labels), data)


def system(type_: str, name: str, **labels: str) -> MeshResource:
    data = {"config": "x"} if type_ == "Config" else {"data": "eA=="}
    return made(type_, name, data, "", **labels)


# --- what is the global's own ---


@pytest.mark.parametrize(
    ("resource", "goes"),
    [
        (system("Config", "kuma-cluster-id"), True),
        (system("Config", "kuma-other"), False),
        (system("GlobalSecret", "zone-token-signing-public-key-1"), True),
        (system("GlobalSecret", "zone-token-revocations"), True),
        (system("GlobalSecret", "of-the-user"), True),
        (system("GlobalSecret", "envoy-admin-ca"), False),
        (system("GlobalSecret", "admin-user-token"), False),
        (system("GlobalSecret", "inter-cp-ca"), False),
        (system("GlobalSecret", "user-token-revocations"), False),
        (system("GlobalSecret", "user-token-signing-key-3"), False),
        (system("GlobalSecret", "zone-token-signing-key-1"), False),
        (system("GlobalSecret", "of-the-user", **{"kuma.io/kds-sync": "disabled"}), False),
        (system("GlobalSecret", "of-the-user", **{"kuma.io/kds-sync": "enabled"}), True),
        (made("Secret", "dataplane-token-signing-key-default-1", {"data": "eA=="}), True),
        (made("MeshTimeout", "t", {"to": TO}), True),
        (made("MeshTimeout", "t", {"to": TO}, **{"kuma.io/kds-sync": "disabled"}), False),
        (made("Zone", "east", {}, ""), False),
        (made("Dataplane", "dp", {"networking": {"address": "10.0.0.1"}}), False),
    ],
    ids=lambda value: str(value.key) if isinstance(value, MeshResource) else None,
)
def test_object_goes_down_or_stays(resource: MeshResource, goes: bool) -> None:
    assert may_go_down(resource, ALL_FEATURES) is goes


def test_policy_without_a_target_waits_for_a_zone_that_knows_such() -> None:
    old = replace(ALL_FEATURES, optional_target=False)
    bare = made("MeshTimeout", "t", {"to": TO})
    told = made("MeshTimeout", "t", {"targetRef": {"kind": "Mesh"}, "to": TO})
    assert [may_go_down(r, old) for r in (bare, told)] == [False, True]
    assert may_go_down(made("Mesh", "default", {}, ""), old)  # No policy at all.


def test_generator_for_services_of_several_zones_waits_for_a_zone_that_knows_them() -> None:
    old = replace(ALL_FEATURES, multizone_generators=False)
    labels = {"matchLabels": {"a": "b"}}
    several = made("HostnameGenerator", "g", {"selector": {"meshMultiZoneService": labels}}, "")
    one = made("HostnameGenerator", "g", {"selector": {"meshService": labels}}, "")
    assert [may_go_down(r, old) for r in (several, one)] == [False, True]
    assert may_go_down(several, ALL_FEATURES)


def test_zone_without_hashes_gets_every_name_as_it_is() -> None:
    """Also of types with a status, whose names a real Kuma sends empty then (deviations.md)."""
    owned = from_resources(
        (
            made("Mesh", "default", {}, ""),
            made("MeshTimeout", "t", {"to": TO}),
            made("MeshExternalService", "shop", {"match": {"port": 1}}),
        )
    )
    plain = sliced(None, "east", "c1", owned, EMPTY, replace(ALL_FEATURES, hash_suffix=False))
    hashed = sliced(None, "east", "c1", owned, EMPTY)
    assert set(plain.types["MeshTimeout"]) == {"t.default"}
    assert set(plain.types["MeshExternalService"]) == {"shop.default"}
    (frame,) = plain.types["MeshTimeout"].values()
    assert decode_entry("MeshTimeout", frame.entry).labels == {"kuma.io/origin": "global"}
    assert "t.default" not in hashed.types["MeshTimeout"]
    assert set(hashed.types["Mesh"]) == set(plain.types["Mesh"]) == {"default."}


# --- what a zone announces ---


def test_first_request_says_what_the_zone_knows() -> None:
    found = announced(zone_node("east", "cp-1", "9"))
    assert found.features == ALL_FEATURES
    assert (found.instance, found.version["version"]) == ("cp-1", "2.14.3")
    assert json.loads(found.config)["store"] == {"type": "memory"}


@pytest.mark.parametrize(
    ("feature", "field"),
    [
        ("hash-suffix", "hash_suffix"),
        ("hg-mz-selector", "multizone_generators"),
        ("producer-policy-flow", "producer_policies"),
        ("optional-top-level-target-ref", "optional_target"),
        ("revision-manifest", "manifests"),
    ],
)
def test_feature_that_is_not_announced_is_not_there(feature: str, field: str) -> None:
    said = [name for name in FEATURES if name != feature]
    found = announced(Node("east", metadata={"features": said})).features
    assert found == replace(ALL_FEATURES, **{field: False})


@pytest.mark.parametrize(
    "metadata",
    [{}, {"features": "hash-suffix"}, {"features": None, "version": 3}, {"version": {"kumaCp": 1}}],
)
def test_metadata_of_another_shape_announces_nothing(metadata: dict[str, object]) -> None:
    found = announced(Node("east", metadata=metadata))
    assert (found.features, found.version, found.config) == (ZoneFeatures(), {}, "")
    assert announced(None).features == ZoneFeatures()


def test_configuration_of_any_length_is_not_kept() -> None:
    long = {"config": "x" * 70_000, "control-plane-id": "y" * 1000}
    found = announced(Node("east", metadata=long))
    assert (found.config, len(found.instance)) == ("", 256)


# --- what zones give to each other ---

PRODUCER = {
    "targetRef": {"kind": "Mesh"},
    "to": [{"targetRef": {"kind": "MeshService", "name": "backend"}, "default": {}}],
}
OF_WEST = {ZONE: "west", NAMESPACE: "shop", ROLE: "producer"}


def owned_by_west(data: Any = None, **labels: str) -> MeshResource:
    return made("MeshTimeout", "t", data or PRODUCER, **{**OF_WEST, **labels})


def passes(resource: MeshResource, features: ZoneFeatures = ALL_FEATURES, **rules: Any) -> bool:
    return may_pass(resource, "east", features, replace(RULES, **rules))


def test_producer_policy_of_a_zone_passes_where_the_repository_allows_it() -> None:
    assert passes(owned_by_west())


@pytest.mark.parametrize(
    ("why", "rules"),
    [
        ("no entry", {"policies": frozenset()}),
        ("another zone", {"policies": frozenset({("north", "MeshTimeout")})}),
        ("another type", {"policies": frozenset({("west", "MeshRetry")})}),
        ("disabled", {"disabled": frozenset({"west"})}),
    ],
)
def test_policy_of_a_zone_passes_nowhere_by_the_repository(why: str, rules: Any) -> None:
    assert not passes(owned_by_west(), **rules), why


def test_policy_of_a_zone_never_goes_back_to_it() -> None:
    assert not may_pass(owned_by_west(), "west", ALL_FEATURES, RULES)


def test_zone_without_the_feature_gets_no_producer_policies() -> None:
    assert not passes(owned_by_west(), replace(ALL_FEATURES, producer_policies=False))


def test_producer_policy_without_a_target_waits_as_any_other() -> None:
    bare = owned_by_west({"to": PRODUCER["to"]})
    assert passes(bare)
    assert not passes(bare, replace(ALL_FEATURES, optional_target=False))


@pytest.mark.parametrize(
    ("why", "data", "labels"),
    [
        ("it does not say so", PRODUCER, {ROLE: "consumer"}),
        ("the label lies", {"to": TO, "targetRef": {"kind": "Mesh"}}, {}),
        ("no namespace", PRODUCER, {NAMESPACE: "kuma-system"}),
        ("not to be synced", PRODUCER, {"kuma.io/kds-sync": "disabled"}),
    ],
)
def test_policy_that_is_no_producers_stays(why: str, data: Any, labels: dict[str, str]) -> None:
    assert not passes(owned_by_west(data, **labels)), why


def test_policy_for_one_zone_goes_to_that_zone() -> None:
    def subset(zone: str) -> MeshResource:
        return owned_by_west(
            {**PRODUCER, "targetRef": {"kind": "MeshSubset", "tags": {ZONE: zone}}}
        )

    assert passes(subset("east"))
    assert not passes(subset("north"))


def test_kinds_that_zones_generate_pass_without_being_allowed() -> None:
    for type_, mesh in (("MeshService", "default"), ("MeshZoneAddress", "default")):
        assert passes(made(type_, "a", {}, mesh, **{ZONE: "west"}), policies=frozenset())
    stays = made("MeshExternalService", "a", {"match": {"port": 1}}, **{ZONE: "west"})
    assert not passes(stays)


def service(name: str = "backend", kind: str = "MeshService", **more: str) -> dict[str, Any]:
    return {"targetRef": {"kind": kind, "name": name, **more}, "default": {}}


@pytest.mark.parametrize(
    ("namespace", "spec", "role"),
    [
        (None, {"to": [service()]}, "system"),
        ("kuma-system", {"to": [service()]}, "system"),
        ("shop", {}, "workload-owner"),
        ("shop", {"from": TO}, "workload-owner"),
        ("shop", {"from": TO, "to": [service()]}, ""),
        ("shop", {"to": [service()]}, "producer"),
        ("shop", {"to": [service(kind="MeshHTTPRoute")]}, "producer"),
        ("shop", {"to": [service(namespace="shop")]}, "producer"),
        ("shop", {"to": [service(namespace="other")]}, "consumer"),
        ("shop", {"to": [service(name="")]}, "consumer"),
        ("shop", {"to": TO}, "consumer"),
        ("shop", {"to": [service(), *TO]}, ""),
    ],
)
def test_role_follows_from_what_a_policy_says(namespace: str | None, spec: Any, role: str) -> None:
    labels = {NAMESPACE: namespace} if namespace else {}
    assert policy_role(made("MeshTimeout", "t", spec, **labels)) == role
