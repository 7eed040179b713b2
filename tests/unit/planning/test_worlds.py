"""Policies and proxies as their zones hold them, made of the repository and of status refs."""

from __future__ import annotations

import json
from typing import Any

from reconciler.decode import mesh_resource
from reconciler.defaults import with_defaults
from reconciler.model.spec import ZoneIngressSpec
from reconciler.planning.fleet import NAMELESS, zone_fleet
from reconciler.planning.text import edge_text, risk_line
from reconciler.planning.worlds import ingresses_of, policies_of
from reconciler.status.document import Inventory
from tests.support.planned import (
    ALL,
    EAST,
    EVERYBODY,
    NONE,
    V1,
    mesh,
    offer,
    permission,
    planned,
    told,
)
from tests.support.plans import as_zones_hold, dataplane, loaded, real_zone

EXCLUSIVE: dict[str, Any] = {"meshServices": {"mode": "Exclusive"}}
LABELLED = permission("z", (EVERYBODY, "Deny")) | {"labels": {"kuma.io/display-name": "a"}}


def test_policies_are_those_that_zones_hold() -> None:
    commit = loaded([mesh(), ALL, LABELLED, permission("q", (V1, "Deny"))])
    computed = policies_of(with_defaults(commit.resources)).state.by_key
    for held in as_zones_hold(commit):
        found = computed[held.key]
        assert (found.labels, found.body) == (held.labels, held.body)


def test_the_display_name_decides_which_policy_is_the_stronger() -> None:
    found = planned([mesh(), ALL], [mesh(), ALL, LABELLED], EAST)
    assert [edge.after.name for edge in found.edges] == ["DENIED"]


def test_what_a_zone_would_offer_says_the_same_to_programs_and_to_us() -> None:
    base = policies_of(loaded([mesh(), mesh("more", **EXCLUSIVE), mesh("old")]).resources)
    head = policies_of(loaded([mesh(**EXCLUSIVE), mesh("more"), mesh("old")]).resources, base)
    services = [offer("default", "web", "east"), offer("old", "x", "east", externalService=True)]
    east = told("east", {("default", "web"): (), ("more", "db"): (), ("old", "x"): ()}, services)
    (offered,) = ingresses_of([east], base, head).after
    assert isinstance(offered.spec, ZoneIngressSpec)
    assert [(s.mesh, s.external) for s in offered.spec.available_services] == [
        ("more", False), ("old", True),
    ]  # fmt: skip
    again = mesh_resource(offered.key, offered.labels, json.loads(offered.body))
    assert again.spec == offered.spec


def test_a_caller_without_a_service_has_a_name_all_the_same() -> None:
    nobody = {
        "type": "Dataplane", "mesh": "default", "name": "no-1",
        "networking": {
            "address": "10.0.1.8",
            "outbound": [{"port": 10001, "tags": {"kuma.io/service": "backend"}}],
        },
    }  # fmt: skip
    found = planned([mesh(), ALL], [mesh(), NONE], {"east": [*EAST["east"], nobody]})
    assert any(f"x {NAMELESS} → backend" in edge_text(edge) for edge in found.edges)


def test_a_caller_with_two_services_calls_as_both() -> None:
    two = dataplane("both-1", "10.0.1.8", "first", ["backend"])
    second = {"port": 8081, "tags": {"kuma.io/service": "second"}}
    two["networking"]["inbound"].append(second)
    found = planned([mesh(), ALL], [mesh(), NONE], {"east": [*EAST["east"], two]})
    assert {edge.caller for edge in found.edges} == {"first", "second", "web"}


def test_classes_do_not_share_addresses() -> None:
    files = real_zone("east", loaded([mesh(), ALL]), EAST["east"]).status_files(Inventory.CLASSES)
    proxies = zone_fleet("east", files).proxies
    assert len({p.spec.address for p in proxies}) == len(proxies) == 4  # type: ignore[union-attr]


# --- what cannot be read of a zone is said ---

APPLIED = b"revision: c1\nproxies: {total: 2}\n"


def test_a_zone_of_kuma_is_told_as_one() -> None:
    assert not zone_fleet("east", {"applied.yaml": APPLIED}).native
    acked = APPLIED.replace(b"total: 2", b"total: 2, acked: 2")
    assert zone_fleet("east", {"applied.yaml": acked}).native


def test_what_is_left_out_of_a_zone_is_in_its_notes() -> None:
    faulty = {
        "ingress.yaml": b"format: 1\nnothing: else\n- 3\n",
        "proxies/default/web.yaml": b"mesh: 7\n",
    }
    notes = zone_fleet("east", faulty).notes
    assert [note.split(":")[0] for note in notes] == [
        "its ingresses are left out", "its proxies are left out",
    ]  # fmt: skip
    assert "it tells of no proxies" in zone_fleet("east", {}).notes[0]
    inbound = b'{port: -1, tags: {"kuma.io/service": w}}'
    odd = b"mesh: default\nclasses: [{count: 1, inbounds: [%b]}]\n" % inbound
    assert (
        "a class of proxies is left out" in zone_fleet("east", {"proxies/a/b.yaml": odd}).notes[0]
    )


def test_a_plan_without_all_of_a_zone_says_so_in_its_first_line() -> None:
    found = planned([mesh(), ALL], [mesh(), NONE], {**EAST, "west": []})
    assert "1 of 2 zones not known as a whole" in risk_line(found.risk)
