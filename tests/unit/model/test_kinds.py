"""The table of kinds is the one Kuma has: what travels where."""

from __future__ import annotations

from reconciler.model.kinds import GLOBAL_TO_ZONE, KINDS, RELAYED, ZONE_TO_GLOBAL


def test_a_zone_asks_for_45_kinds_and_sends_31() -> None:
    assert len(GLOBAL_TO_ZONE) == 45
    assert len(ZONE_TO_GLOBAL) == 31
    assert len(KINDS) == 54


def test_relayed_kinds_are_those_a_zone_owns_and_others_use() -> None:
    assert {"ZoneIngress", "MeshService", "MeshZoneAddress"} == RELAYED


def test_names_and_paths_are_unique() -> None:
    assert len({kind.path for kind in KINDS.values()}) == len(KINDS)
    shorts = [kind.short for kind in KINDS.values() if kind.short]
    assert len(set(shorts)) == len(shorts)


def test_what_zones_own_is_no_matter_of_git() -> None:
    assert {name for name, kind in KINDS.items() if kind.zone_owned} == {
        "Dataplane", "DataplaneInsight", "MeshInsight", "MeshService", "MeshZoneAddress",
        "ServiceInsight", "Workload", "ZoneEgress", "ZoneEgressInsight", "ZoneIngress",
        "ZoneIngressInsight", "ZoneInsight",
    }  # fmt: skip


def test_policies_go_everywhere() -> None:
    policies = [kind for kind in KINDS.values() if kind.policy]
    assert len(policies) == 16
    assert all(k.mesh_scoped and k.down and k.up and k.across and k.hashed for k in policies)


def test_a_mesh_keeps_its_name_when_it_travels() -> None:
    mesh = KINDS["Mesh"]
    assert not mesh.hashed
    assert mesh.legacy
    assert mesh.down
    assert not mesh.in_zone
