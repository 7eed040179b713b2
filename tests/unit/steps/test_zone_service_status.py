"""What a zone's MeshServices say: who answers, mTLS, names; how often, and who hears of it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from reconciler.decode import mesh_resource
from reconciler.kds.codec import decode_entry
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.model.services import decisive
from reconciler.steps import zone_state as z
from reconciler.steps.zone_services import BATCH, LOOKS
from reconciler.steps.zone_step import step
from tests.support.mesh_services import (
    CA,
    HOUR,
    MTLS,
    found,
    made_by,
    mesh,
    notes,
    one,
    one_key,
    published,
    restarted,
    spec,
    status,
)
from tests.support.zone import START, Zone, settings, zone
from tests.unit.steps.test_zone_global import Followed, revised
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER, LISTENER

# --- health, mTLS ---


def test_state_follows_the_health_of_the_proxies() -> None:
    made = zone(mesh())
    document = made_by("backend")
    document["networking"]["inbound"][0]["state"] = "NotReady"
    made.connect(document)
    assert spec(made)["state"] == "Unavailable"
    made.connect(made_by("backend", "backend-1"))
    assert spec(made)["state"] == "Available"
    made.tick(1)
    assert status(made)["dataplaneProxies"] == {"connected": 2, "healthy": 1, "total": 2}


def test_a_new_service_is_available_once_a_proxy_listens() -> None:
    made = zone(mesh())
    made.connect(made_by("backend"), listeners=False)
    assert spec(made)["state"] == "Unavailable"


def test_a_loss_that_is_taken_for_ours_leaves_the_service_available() -> None:
    made = zone(mesh())
    streams = [made.connect(made_by("backend", f"backend-{i}")) for i in range(6)]
    for stream in streams:
        made.lose(stream)
    assert spec(made)["state"] == "Available"
    made.tick(1)
    assert status(made)["dataplaneProxies"] == {"healthy": 6, "total": 6}


def test_tls_is_ready_once_all_have_a_certificate_and_never_goes_back() -> None:
    made = zone(mesh(mtls=MTLS), *CA)
    made.connect(made_by("backend"))
    assert status(made)["tls"] == {"status": "Ready"}
    assert json.loads(made.state.merged.by_key[one_key("backend")].status or "") == {
        "tls": {"status": "Ready"}
    }
    again = restarted(made)  # which knows no certificate
    assert status(again)["tls"] == {"status": "Ready"}
    again.tick(1)
    assert status(again)["tls"] == {"status": "Ready"}
    plain = restarted(made, mesh())
    assert status(plain)["tls"] == {"status": "NotReady"}


def test_tls_is_not_ready_while_a_proxy_waits_for_its_certificate() -> None:
    made = zone(mesh(mtls=MTLS))  # without a CA
    made.connect(made_by("backend"))
    made.tick(1)
    assert status(made)["tls"] == {"status": "NotReady"}
    followed = Followed(made)
    followed.connect()
    revised(followed, "c2", mesh(mtls=MTLS), *CA)
    assert status(made)["tls"] == {"status": "Ready"}


# --- how often, and who hears of it ---


def test_a_thousand_proxies_that_join_write_a_handful_of_times() -> None:
    """What is counted is written once an interval; what decides, once."""
    made = zone(mesh())
    for i in range(1000):
        made.connect(made_by("backend", f"backend-{i:04}"), listeners=False)
        made.now += 0.002
    assert made.state.services.written <= 2 + 2.0 / made.state.settings.services_interval_s
    made.tick(1)
    assert status(made)["dataplaneProxies"] == {"connected": 1000, "total": 1000}


def test_what_is_counted_reaches_no_proxy() -> None:
    made = zone(mesh())
    made.connect(made_by("backend"))
    made.tick(5)
    before = made.state
    made.connect(made_by("backend", "backend-1"))
    made.tick(1)
    assert status(made)["dataplaneProxies"]["total"] == 2
    key = one_key("backend")
    assert made.state.merged.get(key) is before.merged.get(key)
    assert made.state.merged.get(key) == decisive(one(made))


def test_they_go_up_with_their_status_and_are_written_once_all_proxies_are_told() -> None:
    made = zone(mesh())
    followed = Followed(made)
    followed.connect()
    made.deliver(z.GlobalRequest(followed.session, DeltaRequest("MeshService")))
    made.connect(made_by("backend"), listeners=False)
    (told,) = {r.name for r in published(made)}
    assert told.startswith("backend-")
    assert told.endswith(".default")
    assert any(
        isinstance(e, z.Persist) and one_key("backend") in {r.key for r in e.put}
        for e in made.effects
    )


def test_none_is_made_while_the_zone_gathers_what_it_lost() -> None:
    made = Zone(z.ZoneState(settings=settings(reconnect_gather_s=10.0)))
    made.deliver(z.Restored(START, (mesh(),), revision="c1", lost=frozenset({"local"})))
    stream = made.connect(made_by("backend"), listeners=False)
    made.request(stream, DeltaRequest(LISTENER, initial_versions={"inbound": "1"}))
    followed = Followed(made)
    followed.connect()
    made.deliver(z.GlobalRequest(followed.session, DeltaRequest("MeshService")))
    made.tick(9)
    assert found(made) is None
    made.tick(10)
    assert spec(made)["state"] == "Available"
    up = [e.response for e in made.effects if isinstance(e, z.ToGlobalResponse)]
    assert [len(r.resources) for r in up if r.type_url == "MeshService"] == [1]


def test_more_than_the_limit_are_left_out_and_told_of_until_there_is_room() -> None:
    made = zone(mesh(), services_max=1)
    made.lose(made.connect(made_by("backend")))
    made.connect(made_by("other"))
    assert notes(made, "service.too_many") == [{"mesh": "default", "service": "other", "limit": 1}]
    assert found(made, "other") is None
    made.tick(10)
    made.tick(HOUR)
    assert found(made) is None
    assert found(made, "other") is not None


def test_many_services_are_made_a_few_a_turn() -> None:
    document = made_by("s0")
    inbounds = document["networking"]["inbound"]
    inbounds += [{"port": 100 + i, "tags": {"kuma.io/service": f"s{i}"}} for i in range(1, 100)]
    made = zone(mesh())
    counts = [0]
    state = made.state
    made.connect(document, listeners=False)
    for event in (z.ProxyOpened("s", "token"), *first_request(document), *[z.BuildDue(START)] * 9):
        state, _ = step(state, event)
        counts.append(len(state.local.of("MeshService")))
    assert counts[-1] == len(made.state.local.of("MeshService")) == 100
    assert max(after - before for before, after in pairwise(counts)) == BATCH


def first_request(document: dict[str, Any]) -> tuple[z.Event, ...]:
    metadata = {"dataplane.resource": json.dumps(document)}
    node = Node(f"default.{document['name']}", metadata=metadata)
    return (z.ProxyRequest("s", DeltaRequest(CLUSTER, node), START),)


def test_of_a_service_half_of_whose_proxies_are_looked_at_nothing_is_said() -> None:
    """After a start they are looked at a few a turn: here the one that is well comes last."""
    made = zone(mesh())
    for i in range(LOOKS):
        document = made_by("backend", f"backend-{i:03}")
        document["networking"]["inbound"][0]["state"] = "NotReady"
        made.connect(document, listeners=False)
    made.connect(made_by("backend", "healthy"))
    made.tick(1)
    before = one(made)
    assert spec(made)["state"] == "Available"
    again = restarted(made)
    assert not again.state.unserved
    assert again.state.services.written <= 1, "but for what is counted"
    assert one(again).body == before.body


# --- names of a zone's own ---


def test_a_zone_has_the_generators_of_names_that_kumas_have() -> None:
    made = zone()
    found = {r.key.name: json.loads(r.body) for r in made.state.merged.of("HostnameGenerator")}
    assert found == {
        "local-mesh-external-service": {
            "selector": {"meshExternalService": {"matchLabels": {"kuma.io/origin": "zone"}}},
            "template": "{{ .DisplayName }}.extsvc.mesh.local",
        },
        "local-universal-mesh-service": {
            "selector": {"meshService": {"matchLabels": {"kuma.io/origin": "zone"}}},
            "template": "{{ .DisplayName }}.svc.mesh.local",
        },
    }
    stored = [e for e in made.effects if isinstance(e, z.Persist)]
    assert not any(r.key.type == "HostnameGenerator" for e in stored for r in e.put)


# --- names ---


def a_generator(name: str, template: str) -> MeshResource:
    spec = {"selector": {"meshService": {"matchLabels": {}}}, "template": template}
    return mesh_resource(ResourceKey("HostnameGenerator", "", name), Labels(), spec)


def test_names_stand_in_the_status_within_a_second_and_go_up_with_it() -> None:
    made = zone(mesh())
    made.connect(made_by("backend"))
    made.tick(1)
    (told,) = published(made)
    assert json.loads(decode_entry("MeshService", told.entry).status or "") == status(made)
    followed = Followed(made)
    followed.connect()
    revised(followed, "c2", mesh(), a_generator("a", "{{ .Name }}.corp"))
    made.tick(1)
    addresses = [each["hostname"] for each in status(made)["addresses"]]
    assert addresses == ["backend.corp", "backend.svc.mesh.local"]
    revised(followed, "c3", mesh(), a_generator("a", "{{ .Nothing }}"))
    made.tick(1)
    conditions = [each["conditions"][0] for each in status(made)["hostnameGenerators"]]
    assert [each["reason"] for each in conditions] == ["TemplateError", "Generated"]
    assert [each["hostname"] for each in status(made)["addresses"]] == ["backend.svc.mesh.local"]


def test_names_stay_over_a_restart_and_nothing_is_written_for_them() -> None:
    made = zone(mesh())
    made.connect(made_by("backend"))
    made.tick(1)
    before = status(made)
    again = restarted(made)
    again.tick(1)
    assert status(again)["vips"] == before["vips"]
    assert status(again)["addresses"] == before["addresses"]
    written = again.state.services.written
    again.connect(made_by("backend"))
    again.tick(2)
    assert status(again) == before
    assert again.state.services.written - written <= 2  # who is connected, and no names


def test_services_of_other_zones_are_not_looked_at_for_their_names() -> None:
    labels = Labels.of({"kuma.io/zone": "west", "kuma.io/origin": "global"})
    theirs = mesh_resource(ResourceKey("MeshService", "default", "backend-x"), labels, {})
    made = zone(mesh(), theirs)
    made.connect(made_by("backend"))
    named = made.state.unnamed["default"].services
    assert [each.name for each in named] == ["backend", "backend-x"]
    assert not made.state.services.queue
    assert found(made, "backend-x") is None
