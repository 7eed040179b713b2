"""What the global keeps of its zones and their services: Zone, ZoneInsight, ServiceInsight, and
what `status` shows of it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.global_status import zone_row
from reconciler.kds.admin import AdminKind
from reconciler.kds.admission import Proof
from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.kds.manifest import matches, parse_manifest, versions_digest
from reconciler.kds.names import hashed_name
from reconciler.kds.types import MANIFEST, OWNED_TYPES, SERVICE_INSIGHT
from reconciler.kds.zone_node import FEATURES, is_compatible
from reconciler.model.resource import (
    DISPLAY_NAME,
    NAMESPACE,
    ROLE,
    ZONE,
    Labels,
    ResourceKey,
    canonical_json,
)
from reconciler.repository_settings import decode_settings
from reconciler.rest.form import body_of
from reconciler.state import EMPTY
from reconciler.steps import global_state as g
from reconciler.steps.global_insights import zone_insight, zone_resources
from reconciler.steps.global_services import INTERVAL_S
from tests.support.global_plane import TYPES, Global, revision, timeout
from xds.discovery import DeltaRequest, DeltaResponse

if TYPE_CHECKING:
    from xds.resource import XdsResource

PROOF = Proof("zone-token:east", token_id="t", kid="1")
ALL = (*TYPES, SERVICE_INSIGHT)


def connected(*zones: str) -> Global:
    plane = Global()
    plane.publish(timeout(1000))
    for name in zones:
        plane.connect(name, types=ALL)
    return plane


def subscriptions(plane: Global, zone: str = "east") -> list[dict[str, Any]]:
    found: Any = zone_insight(plane.state, zone)["subscriptions"]
    return list(found)


def stream(plane: Global, number: int, at: float, proof: Proof | None = PROOF) -> None:
    event = g.ZoneOpened(f"s{number}", "east", True, "key-1", at, (), proof)
    plane.deliver(event)


# --- ZoneInsight ---


def test_a_subscription_says_who_connected_when_and_what_became_of_what_was_sent() -> None:
    plane = connected("east")
    plane.publish(timeout(2000), commit="c2")
    (sent,) = (r for r in plane.sent["east-down"] if r.type_url == "MeshTimeout")
    plane.deliver(
        g.ZoneSubscribed("east-down", DeltaRequest("MeshTimeout", nonce=sent.nonce, error="no"))
    )
    (found,) = subscriptions(plane)
    assert found["connectTime"] == "1970-01-01T00:00:00.000Z"
    assert "disconnectTime" not in found
    assert found["globalInstanceId"] == "g"
    assert found["zoneInstanceId"] == "east"
    assert found["version"]["kumaCp"]["version"] == "2.14.3"
    assert found["version"]["kumaCp"]["kumaCpGlobalCompatible"] is True
    assert json.loads(found["config"])["store"] == {"type": "memory"}
    assert found["status"]["stat"]["MeshTimeout"] == {
        "responsesSent": "2",
        "responsesAcknowledged": "1",
        "responsesRejected": "1",
    }
    total = found["status"]["total"]
    assert int(total["responsesSent"]) == sum(
        int(each["responsesSent"]) for each in found["status"]["stat"].values()
    )


def test_ten_subscriptions_are_kept_and_the_newest_is_the_open_one() -> None:
    plane = connected()
    for number in range(15):
        stream(plane, number, float(number))
        if number < 14:
            plane.deliver(g.ZoneClosed(f"s{number}", number + 0.5))
    found = subscriptions(plane)
    assert len(found) == 10
    assert [each.get("disconnectTime") is None for each in found] == [False] * 9 + [True]
    assert found[-1]["connectTime"].startswith("1970-01-01T00:00:14")
    assert len({each["id"] for each in found}) == 10
    assert len(plane.state.zones["east"].past) == 9  # Nothing is kept that is not shown.


def test_a_token_is_known_to_have_come_and_its_absence_too() -> None:
    plane = connected()
    stream(plane, 1, 1.0)
    stream(plane, 2, 2.0, Proof("address:10.0.0.1", address="10.0.0.1"))
    assert [each["authTokenProvided"] for each in subscriptions(plane)] == [True, False]


def test_streams_and_health_are_shown_while_they_are_there() -> None:
    plane = connected("east")
    plane.deliver(g.ZoneHealthy("east", 60.0))
    plane.deliver(g.ZoneHealthy("nobody", 60.0))
    found: Any = zone_insight(plane.state, "east")
    assert found["healthCheck"] == {"time": "1970-01-01T00:01:00.000Z"}
    assert set(found["kdsStreams"]) == {"globalToZone", "zoneToGlobal"}
    plane.deliver(g.ZoneClosed("east-up", 61.0))
    found = zone_insight(plane.state, "east")
    assert set(found["kdsStreams"]) == {"globalToZone"}


def test_the_global_is_of_a_version_that_a_zone_finds_compatible() -> None:
    node: Any = g.global_node(g.GlobalSettings(instance="g", version="0.1"), "east").metadata
    assert is_compatible(node["version"]["kumaCp"]["version"])
    assert node["version"]["kumaCp"]["gitTag"] == "mesh-reconciler-0.1"


def test_admin_streams_are_shown_with_the_instance_that_holds_them() -> None:
    plane = connected("east", "west")
    for number, kind in enumerate(AdminKind):
        plane.deliver(g.AdminOpened(f"a{number}", "east", kind, 10.0 + number, Proof("east")))
    plane.deliver(g.AdminOpened("a9", "east", AdminKind.STATS, 20.0, Proof("east")))
    found: Any = zone_insight(plane.state, "east")
    streams = {"globalToZone", "zoneToGlobal", "configDump", "stats", "clusters"}
    assert set(found["kdsStreams"]) == streams
    assert found["kdsStreams"]["stats"]["connectTime"] == "1970-01-01T00:00:20.000Z"
    assert found["envoyAdminStreams"] == {
        "configDumpGlobalInstanceId": "g",
        "statsGlobalInstanceId": "g",
        "clustersGlobalInstanceId": "g",
    }
    plane.deliver(g.AdminClosed("a0"))
    found = zone_insight(plane.state, "east")
    assert set(found["kdsStreams"]) == streams - {"configDump"}
    other: Any = zone_insight(plane.state, "west")
    assert other["envoyAdminStreams"] == {}


def test_when_a_zone_was_last_heard_of_a_type_is_shown() -> None:
    plane = connected("east")
    plane.deliver(g.ZoneSubscribed("east-down", DeltaRequest("Mesh", nonce="1"), 62.0))
    plane.deliver(g.ZoneClosed("east-down", 63.0))
    (found,) = subscriptions(plane)
    assert found["status"]["lastUpdateTime"] == "1970-01-01T00:01:02.000Z"


def test_every_zone_has_its_two_resources_as_kumas_messages_hold_them() -> None:
    plane = connected("east", "west")
    found = list(zone_resources(plane.state))
    assert [str(r.key) for r in found] == [
        "Zone east",
        "ZoneInsight east",
        "Zone west",
        "ZoneInsight west",
    ]
    for each in found:
        carried = CarriedResource(each.key.type, "", each.key.name, {}, each.body)
        back = decode_entry(each.key.type, encode_carried(carried).entry)
        assert set(back.data) == set(json.loads(each.body))


@pytest.mark.parametrize(
    ("version", "compatible"),
    [("2.14.0", True), ("2.12.9", True), ("2.16.1", True), ("2.11.0", False), ("3.14.0", False)],
)
def test_versions_may_lie_two_minor_ones_apart(version: str, compatible: bool) -> None:
    assert is_compatible(version) is compatible
    assert is_compatible("preview")
    assert is_compatible("")


# --- ServiceInsight ---


def proxy(name: str, service: str, zone: str, **more: Any) -> XdsResource:
    inbound = {"port": 80, "tags": {"kuma.io/service": service}}
    data = {"networking": {"address": "10.0.0.1", "inbound": [inbound], **more}}
    return entry("Dataplane", name, data, zone)


def insight(
    name: str, zone: str, backend: str = "", *, online: bool = True, **more: Any
) -> XdsResource:
    connection = {"id": "1", "connectTime": "2026-01-01T00:00:00Z", **more}
    if not online:
        connection["disconnectTime"] = "2026-01-01T00:00:01Z"
    mtls = {"mTLS": {"issuedBackend": backend}} if backend else {}
    return entry("DataplaneInsight", name, {"subscriptions": [connection], **mtls}, zone)


def entry(type_: str, name: str, data: Any, zone: str) -> XdsResource:
    wire = hashed_name("default", name, Labels.of({ZONE: zone}))
    labels = {DISPLAY_NAME: name}
    return encode_carried(CarriedResource(type_, "default", wire, labels, canonical_json(data)))


def says(plane: Global, zone: str, type_: str, now: float, *entries: XdsResource) -> None:
    response = DeltaResponse(type_, str(now), entries)
    plane.deliver(g.ZonePublished(f"{zone}-up", response, now))


def services(plane: Global) -> Any:
    (found,) = plane.state.service_insights.by_key.values()
    return json.loads(found.body)["services"]


def two_zones() -> Global:
    plane = connected("east", "west")
    says(plane, "east", "Dataplane", 100.0, proxy("a", "web", "east"), proxy("b", "web", "east"))
    says(plane, "west", "Dataplane", 100.0, proxy("c", "web", "west"))
    online = insight("a", "east", "ca-1")
    says(plane, "east", "DataplaneInsight", 100.0, online)
    plane.deliver(g.Tick(100.0))
    return plane


def test_services_are_counted_over_all_zones() -> None:
    plane = two_zones()
    assert services(plane) == {
        "web": {
            "status": "partially_degraded",
            "dataplanes": {"total": 3, "online": 1, "offline": 2},
            "issuedBackends": {"ca-1": 1},
            "serviceType": "internal",
            "addressPort": "web.mesh:80",
            "zones": ["east", "west"],
        }
    }


def test_zones_are_sent_it_beside_their_revision() -> None:
    """No manifest goes with it: a zone would wait for a revision that never becomes whole."""
    plane = two_zones()
    for name in ("east", "west"):
        assert plane.acknowledge(name) == [SERVICE_INSIGHT]
        (resource_name,) = plane.held(name, SERVICE_INSIGHT)
        assert resource_name == "all-services-default-wv4b46z9d8z49284.default"
    shown = plane.state.sessions["east-down"].shown
    assert shown is not None
    (frame,) = shown.types[MANIFEST].values()
    assert SERVICE_INSIGHT not in decode_entry(MANIFEST, frame.entry).body


def test_changes_are_told_together_and_not_before_an_interval() -> None:
    plane = two_zones()
    plane.acknowledge("west")
    for number in range(20):
        says(plane, "east", "DataplaneInsight", 101.0, insight("a", "east", online=number % 2 == 0))
        plane.deliver(g.Tick(101.0))
    says(plane, "east", "DataplaneInsight", 101.0, insight("b", "east", online=True))
    assert plane.acknowledge("west") == []
    plane.deliver(g.Tick(100.0 + INTERVAL_S))
    assert plane.acknowledge("west") == [SERVICE_INSIGHT]
    assert services(plane)["web"]["dataplanes"] == {"total": 3, "online": 1, "offline": 2}
    says(plane, "east", "DataplaneInsight", 200.0, insight("b", "east", online=True))
    assert not any(isinstance(e, g.WakeAt) for e in plane.effects)  # The same again.


def test_counters_of_proxies_are_kept_and_told_to_nobody() -> None:
    """Ten seconds after a push, of all proxies: nothing is computed from them."""
    plane = two_zones()
    counted = plane.state.services
    status = {"total": {"responsesSent": "7"}}
    says(plane, "east", "DataplaneInsight", 101.0, insight("a", "east", "ca-1", status=status))
    assert plane.state.services is counted
    assert not any(isinstance(e, g.WakeAt | g.OfferSoon | g.KeepRelayed) for e in plane.effects)
    (held,) = (
        r for r in plane.state.zones["east"].owned.of("DataplaneInsight") if "a-" in r.key.name
    )
    assert '"responsesSent":"7"' in body_of(held)
    says(plane, "east", "DataplaneInsight", 102.0, insight("a", "east", "ca-2", status=status))
    assert plane.state.services is not counted


def test_proxies_that_go_and_zones_that_are_forgotten_take_their_share_along() -> None:
    plane = two_zones()
    name = hashed_name("default", "c", Labels.of({ZONE: "west"}))
    response = DeltaResponse("Dataplane", "9", (), (f"{name}.default",))
    plane.deliver(g.ZonePublished("west-up", response, 200.0))
    plane.deliver(g.Tick(200.0))
    assert services(plane)["web"]["zones"] == ["east"]
    plane.deliver(g.ZonePublished("east-up", DeltaResponse("Dataplane", "10"), 300.0))
    all_gone = tuple(
        f"{hashed_name('default', n, Labels.of({ZONE: 'east'}))}.default" for n in "ab"
    )
    plane.deliver(g.ZonePublished("east-up", DeltaResponse("Dataplane", "11", (), all_gone), 400.0))
    plane.deliver(g.Tick(400.0))
    assert list(plane.state.service_insights.by_key) == []
    assert plane.held("west", SERVICE_INSIGHT) == set()


def test_gateway_is_one_and_everything_online_is_online() -> None:
    plane = connected("east")
    gateway = {"gateway": {"tags": {"kuma.io/service": "edge"}}, "inbound": []}
    says(plane, "east", "Dataplane", 1.0, proxy("g", "edge", "east", **gateway))
    says(plane, "east", "DataplaneInsight", 1.0, insight("g", "east", online=True))
    plane.deliver(g.Tick(1.0))
    assert services(plane)["edge"]["serviceType"] == "gateway_delegated"
    assert services(plane)["edge"]["status"] == "online"


def test_where_mesh_services_take_their_place_only_gateways_are_services_by_tag() -> None:
    plane = two_zones()
    gateway = {"gateway": {"tags": {"kuma.io/service": "edge"}}, "inbound": []}
    proxies = (proxy("a", "web", "east"), proxy("g", "edge", "east", **gateway))
    says(plane, "east", "Dataplane", 110.0, *proxies)
    plane.deliver(g.Tick(200.0))
    assert set(services(plane)) == {"edge", "web"}
    data = {"meshServices": {"mode": "Exclusive"}}
    exclusive = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), data)
    plane.publish(exclusive, commit="c2")
    assert set(services(plane)) == {"edge"}


def test_nothing_is_kept_of_a_mesh_whose_last_proxy_went() -> None:
    """Names of meshes are the zones' word: they must not add up."""
    plane = two_zones()
    for zone in ("east", "west"):
        held = plane.state.zones[zone].owned.of("Dataplane")
        names = tuple(f"{proxy.key.name}.{proxy.key.mesh}" for proxy in held)
        response = DeltaResponse("Dataplane", "9", (), names)
        plane.deliver(g.ZonePublished(f"{zone}-up", response, 150.0))
    assert dict(plane.state.services.tallies) == {}
    plane.deliver(g.Tick(200.0))
    assert dict(plane.state.service_insights.by_key) == {}


def test_mesh_that_is_gone_has_no_services() -> None:
    plane = two_zones()
    gone = replace(revision("c9"), resources=EMPTY)
    plane.deliver(g.TipMoved("c9"))
    plane.deliver(g.Loaded(gone))
    assert list(plane.state.service_insights.by_key) == []


# --- policies of zones, and what status shows ---


def zone_policy(plane: Global, zone: str) -> None:
    labels = {DISPLAY_NAME: "t", NAMESPACE: "shop", ROLE: "producer"}
    wire = hashed_name("default", "t", Labels.of({ZONE: zone, NAMESPACE: "shop"}))
    target = {"kind": "MeshService", "name": "backend"}
    default = {"connectionTimeout": "1s"}
    body = canonical_json({"to": [{"targetRef": target, "default": default}]})
    frame = encode_carried(CarriedResource("MeshTimeout", "default", wire, labels, body))
    plane.zone_says(zone, DeltaResponse("MeshTimeout", "1", (frame,)))


def test_policy_that_a_zone_made_is_shown_as_foreign_and_goes_nowhere() -> None:
    plane = connected("east", "west")
    zone_policy(plane, "east")
    assert zone_row(plane.state, "east")["foreign"] == {"MeshTimeout": 1}
    assert plane.acknowledge("west") == []
    assert len(plane.held("west", "MeshTimeout")) == 1  # The repository's own.


def test_policy_that_the_repository_allows_goes_to_the_others_with_a_manifest() -> None:
    plane = connected("east", "west")
    zone_policy(plane, "east")
    entries = [{"zone": "east", "types": ["MeshTimeout"]}]
    settings = decode_settings({"allowZonePolicies": entries})
    plane.deliver(g.TipMoved("c2"))
    plane.deliver(g.Loaded(replace(revision("c2", timeout(1000)), settings=settings)))
    assert plane.acknowledge("west") == ["MeshTimeout", MANIFEST]
    assert len(plane.held("west", "MeshTimeout")) == 2
    assert len(plane.held("east", "MeshTimeout")) == 1
    assert zone_row(plane.state, "east")["foreign"] == {}
    shown = plane.state.sessions["west-down"].shown
    assert shown is not None
    (frame,) = shown.types[MANIFEST].values()
    staged = {t: {n: r.version for n, r in shown.types[t].items()} for t in OWNED_TYPES}
    said = parse_manifest(frame.entry)
    # Else the zone would wait for ever.
    assert matches(said, lambda type_: versions_digest(staged.get(type_, {})))


def test_status_shows_what_a_zone_was_refused_and_cannot_be_sent() -> None:
    plane = Global(g.GlobalState(g.GlobalSettings(instance="g", version="0", kuma_message_max=900)))
    plane.publish(timeout(1000))
    kuma = [name for name in FEATURES if name != "revision-manifest"]
    plane.connect("east", types=("Mesh", "MeshTimeout"), features=kuma)
    padded = replace(timeout(1000), labels=Labels.of({"pad": "x" * 900}))
    plane.publish(padded, commit="c2")
    notes = [e.event for e in plane.effects if isinstance(e, g.Note)]
    assert "zone.type_large" in notes
    assert "zone.type_too_large" in notes
    told = next(e.fields for e in plane.effects if isinstance(e, g.Note) and "too" in e.event)
    assert (told["limit"], told["setting"]) == (900, "--kds-kuma-message-bytes")
    plane.publish(padded, commit="c3")
    notes = [e.event for e in plane.effects if isinstance(e, g.Note)]
    assert "zone.type_too_large" not in notes  # Said once, and no loop.
    row: Any = zone_row(plane.state, "east")
    assert list(row["too_large"]) == ["MeshTimeout"]
    assert row["too_large"]["MeshTimeout"] > 900
    assert "config" not in row["insight"]["subscriptions"][0]
    plane.publish(timeout(2000), commit="c4")
    row = zone_row(plane.state, "east")
    assert (row["too_large"], row["large"]) == ({}, {})
    assert "MeshTimeout" in plane.acknowledge("east")


def test_revision_of_ours_waits_for_what_cannot_be_sent_without_a_loop() -> None:
    """A manifest would have the zone wait for a type that never comes, and dial again for ever."""
    plane = Global(g.GlobalState(g.GlobalSettings(instance="g", version="0", message_max=8000)))
    plane.publish(timeout(1000))
    plane.connect("east")
    plane.publish(replace(timeout(1000), labels=Labels.of({"p": "x" * 9000})), commit="c2")
    assert plane.acknowledge("east") == []
    plane.publish(timeout(2000), commit="c3")
    assert plane.acknowledge("east") == ["MeshTimeout", MANIFEST]
