"""Which zone the global asks about a proxy, under which name; and where the zone asks its Envoy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.admin import AdminTarget
from reconciler.decode import mesh_resource
from reconciler.inspection import (
    Inspected,
    Inspection,
    Routed,
    inspection,
    outcome,
    routed,
    store_type,
)
from reconciler.kds.admin import AdminKind, Question
from reconciler.kds.zone_node import Announced
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import from_resources
from reconciler.steps.global_state import GlobalState
from reconciler.steps.zone_admin import target
from reconciler.steps.zone_record import Session, ZoneRecord
from reconciler.zone_admin import path_of
from tests.support.zone import INGRESS, dataplane, zone

PIPE = {"dataplane.admin.port": "9901", "dataplane.admin.socketPath": "/w/a.sock"}
WEB = Inspection(Question(kind=AdminKind.STATS, type="Dataplane", name="web-1", mesh="default"))


def held(
    wire: str, display: str, type_: str = "Dataplane", mesh: str = "default", **labels: str
) -> MeshResource:
    body = dataplane("x", "web") if type_ == "Dataplane" else INGRESS
    spec = {"networking": body["networking"]}
    given = {
        "kuma.io/display-name": display,
        **{k.replace("__", "/"): v for k, v in labels.items()},
    }
    return mesh_resource(ResourceKey(type_, mesh, wire), Labels.of(given), spec)


def record(name: str, *owned: MeshResource, **fields: Any) -> ZoneRecord:
    return replace(ZoneRecord(name, owned=from_resources(owned), connected_at=1.0), **fields)


def known(*records: ZoneRecord) -> GlobalState:
    state = GlobalState(settings=None)  # type: ignore[arg-type]
    for each in records:
        state = replace(state, zones=state.zones.insert(each.name, each))
    return state


def on_kubernetes(state: GlobalState, zone: str) -> GlobalState:
    said = Announced(config='{"store":{"type":"kubernetes"}}')
    session = Session("s1", zone, downward=True, announced=said)
    zones = state.zones.insert(zone, replace(state.zones[zone], streams=("s1",)))
    return replace(state, sessions=state.sessions.insert("s1", session), zones=zones)


def in_zone(zone: str, asked: Inspection = WEB) -> Inspection:
    return replace(asked, zone=zone)


def named(name: str, type_: str = "Dataplane", mesh: str = "default") -> Inspection:
    question = Question(kind=AdminKind.CONFIG, type=type_, name=name, mesh=mesh)
    return Inspection(question)


def test_proxy_is_found_by_the_name_its_zone_gave_it() -> None:
    state = known(record("east"), record("west", held("web-1-abcdef", "web-1")))
    assert routed(state, WEB) == Routed("west", "web-1")
    assert routed(state, named("web-1-abcdef")) == Routed("west", "web-1")
    ingress = held("in-xyz", "in", "ZoneIngress", "")
    assert routed(known(record("east", ingress)), named("in", "ZoneIngress", "")) == Routed(
        "east", "in"
    )


def test_two_of_one_name_need_their_zone() -> None:
    state = known(
        record("east", held("web-1-a", "web-1")), record("west", held("web-1-b", "web-1"))
    )
    found = routed(state, WEB)
    assert isinstance(found, Inspected)
    assert (found.status, "--zone, one of east, west" in found.error) == (409, True)
    assert routed(state, in_zone("west")) == Routed("west", "web-1")


def test_unknown_name_is_asked_of_a_zone_that_is_named() -> None:
    state = known(record("east"))
    found = routed(state, WEB)
    assert isinstance(found, Inspected)
    assert found.status == 404
    assert 'no zone has reported a Dataplane "web-1" of mesh "default"' in found.error
    assert routed(state, in_zone("east")) == Routed("east", "web-1")


@pytest.mark.parametrize("asked", [WEB, in_zone("east"), in_zone("east", named("nobody"))])
def test_offline_zone_is_said_so(asked: Inspection) -> None:
    web = held("web-1-a", "web-1")
    for away in ({"disconnected_at": 2.0}, {"connected_at": None}):
        found = routed(known(record("east", web, **away)), asked)
        assert isinstance(found, Inspected)
        assert (found.status, "is offline" in found.error) == (503, True)


def test_zone_nobody_knows() -> None:
    found = routed(known(record("east")), in_zone("north"))
    assert isinstance(found, Inspected)
    assert found.error == 'zone "north" is not known; known are: east'


def test_name_on_kubernetes_has_its_namespace() -> None:
    """facts/kds-wire.md 7: only where the zone says that its store is Kubernetes, and not for names
    from before there were namespaces.
    """
    labels = {"k8s.kuma.io__namespace": "shop"}
    web = held("web-1-a", "web-1", **labels)
    assert routed(known(record("east", web)), WEB) == Routed("east", "web-1")
    kubernetes = on_kubernetes(known(record("east", web), record("west")), "east")
    assert routed(kubernetes, named("web-1.shop")) == Routed("east", "web-1.shop")
    legacy = known(record("east", held("east.web-1", "web-1", **labels)))
    assert routed(on_kubernetes(legacy, "east"), WEB) == Routed("east", "web-1")
    other = on_kubernetes(known(record("east", web), record("west")), "west")
    assert routed(other, WEB) == Routed("east", "web-1")


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ('{"store":{"type":"kubernetes"}}', "kubernetes"),
        ('{"store":{"type":7}}', ""),
        ('{"store":[]}', ""),
        ("[]", ""),
        ("{", ""),
        ("[" * 100_000, ""),
        ("", ""),
    ],
)
def test_store_of_a_zone_is_what_its_node_shows(config: str, found: str) -> None:
    assert store_type(config) == found


def test_query_becomes_a_question_or_a_reason() -> None:
    found = inspection({"name": "web-1", "mesh": "m", "what": "stats", "format": "json"})
    assert isinstance(found, Inspection)
    assert found.question == Question(
        kind=AdminKind.STATS, type="Dataplane", name="web-1", mesh="m", used_only=True
    )
    ingress = inspection({"name": "in", "mesh": "m", "type": "zone-ingress", "zone": "east"})
    assert isinstance(ingress, Inspection)
    assert (ingress.question.type, ingress.question.mesh, ingress.zone) == (
        "ZoneIngress",
        "",
        "east",
    )
    for wrong in ({}, {"name": "x", "type": "gateway"}, {"name": "x", "what": "quitquitquit"}):
        assert isinstance(inspection(wrong), str)


def test_time_that_is_over_is_told_from_other_failures() -> None:
    assert outcome(b"x", "") == Inspected(body=b"x")
    assert outcome(b"", "unable to send GET: timed out after 5 s").status == 504
    assert outcome(b"", "unable to send GET: answered 503").status == 502
    assert outcome(b"", 'resource not found: type="Dataplane"').status == 404


@pytest.mark.parametrize(
    ("question", "path"),
    [
        ({"kind": AdminKind.CONFIG}, "/config_dump"),
        ({"kind": AdminKind.CONFIG, "include_eds": True}, "/config_dump?include_eds=true"),
        ({"kind": AdminKind.STATS, "as_json": False}, "/stats"),
        ({"kind": AdminKind.STATS, "used_only": True}, "/stats?format=json&usedonly="),
        ({"kind": AdminKind.CLUSTERS, "as_json": False}, "/clusters"),
        ({"kind": AdminKind.CLUSTERS}, "/clusters?format=json"),
    ],
)
def test_path_of_envoys_admin_interface(question: dict[str, Any], path: str) -> None:
    assert path_of(Question(type="Dataplane", name="x", **question)) == path


# --- the zone's part ---


def test_zone_finds_its_proxy() -> None:
    made = zone(admin_access=True)
    made.connect(dataplane("web-1", "web"), said=PIPE)
    assert target(made.state, WEB.question) == AdminTarget("default.web-1", "10.0.0.1", 9901)
    made.connect(INGRESS, said=PIPE)
    ingress = Question(kind=AdminKind.STATS, type="ZoneIngress", name="ingress", mesh="ignored")
    assert target(made.state, ingress) == AdminTarget(".ingress", "10.0.0.9", 9901)


def test_admin_on_loopback_without_a_socket_is_asked_in_plaintext() -> None:
    made = zone(admin_access=True)
    said = {"dataplane.admin.port": "9901", "dataplane.admin.address": "127.0.0.1"}
    made.connect(dataplane("web-1", "web", address="127.0.0.1"), said=said)
    assert target(made.state, WEB.question) == AdminTarget(
        "default.web-1", "127.0.0.1", 9901, plain=True
    )
    made.connect(
        dataplane("web-2", "web", address="::1"), said={**said, "dataplane.admin.address": "::1"}
    )
    found = target(made.state, replace(WEB.question, name="web-2"))
    assert isinstance(found, str)
    assert "start the proxy with a workdir" in found


def test_zone_says_what_it_does_not_know_in_kumas_words() -> None:
    made = zone(admin_access=True)
    assert target(made.state, WEB.question) == (
        'resource not found: type="Dataplane" name="web-1" mesh="default"'
    )
    other = replace(WEB.question, type="Mesh")
    assert target(made.state, other) == 'invalid resource type "Mesh"'
