"""The MeshServices that a zone makes of its proxies, and what they say: as Kuma's generator and
status updater, at once where it decides something, and no sooner than needed where it is counted.
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.kds.codec import decode_entry
from reconciler.kds.types import MANIFEST
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.model.services import decisive
from reconciler.runtime.timer import Moments
from reconciler.steps import zone_state as z
from reconciler.steps.zone_services import BATCH, LOOKS
from reconciler.steps.zone_step import step
from tests.support.zone import START, Zone, dataplane, settings, zone
from tests.unit.steps.test_zone_global import OWNED_TYPES, Followed, sliced
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER, LISTENER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.resource import XdsResource

SINCE = "kuma.io/deletion-grace-period-started-at"
HOUR = 3600.0
MTLS = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}
GENERATOR_REF = {"hostnameGeneratorRef": {"coreName": "local-universal-mesh-service"}}
GENERATED = {"type": "Generated", "status": "True", "reason": "Generated", "message": ""}
NAMED = {
    "addresses": [
        {"hostname": "backend.svc.mesh.local", "origin": "HostnameGenerator", **GENERATOR_REF}
    ],
    "hostnameGenerators": [{**GENERATOR_REF, "conditions": [GENERATED]}],
    "vips": [{"ip": "241.0.0.0"}],
}
CA = tuple(
    mesh_resource(ResourceKey("Secret", "default", f"default.{name}"), Labels(), {"data": "eA=="})
    for name in ("ca-builtin-cert-ca", "ca-builtin-key-ca")
)


def mesh(mode: str = "Everywhere", **more: object) -> MeshResource:
    data = {"meshServices": {"mode": mode}, **more}
    return mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), data)


def made_by(service: str, name: str = "") -> dict[str, Any]:
    return dataplane(name or f"{service}-0", service)


def at_port(name: str, port: int) -> dict[str, Any]:
    document = made_by("backend", name)
    document["networking"]["inbound"][0]["port"] = port
    return document


def found(made: Zone, name: str = "backend") -> MeshResource | None:
    return made.state.local.get(ResourceKey("MeshService", "default", name))


def one(made: Zone, name: str = "backend") -> MeshResource:
    service = found(made, name)
    assert service is not None
    return service


def spec(made: Zone, name: str = "backend") -> Mapping[str, Any]:
    return dict(json.loads(one(made, name).body))


def status(made: Zone, name: str = "backend") -> Mapping[str, Any]:
    return dict(json.loads(one(made, name).status or "null"))


def notes(made: Zone, event: str) -> list[Mapping[str, object]]:
    return [note.fields for note in made.noted if note.event == event]


def restarted(made: Zone, *policies: MeshResource) -> Zone:
    """The zone again, with what stands on its disk."""
    after = Zone(z.ZoneState(settings=made.state.settings), now=made.now)
    local = tuple(r for r in made.state.local.all() if r.key.type != "HostnameGenerator")
    after.deliver(z.Restored(made.now, policies or made.state.policy.all(), local=local))
    return after


def test_each_service_of_the_proxies_has_a_mesh_service_as_kuma_makes_it() -> None:
    made = zone(mesh())
    made.connect(made_by("backend"))
    assert one(made).labels == Labels.of(
        {
            "kuma.io/display-name": "backend",
            "kuma.io/env": "universal",
            "kuma.io/managed-by": "meshservice-generator",
            "kuma.io/mesh": "default",
            "kuma.io/origin": "zone",
            "kuma.io/zone": "east",
        }
    )
    assert spec(made) == {
        "identities": [{"type": "ServiceTag", "value": "backend"}],
        "ports": [{"appProtocol": "http", "name": "80", "port": 80, "targetPort": 80}],
        "selector": {"dataplaneTags": {"kuma.io/service": "backend"}},
        "state": "Available",
    }
    made.tick(1)
    assert status(made) == {
        **NAMED,
        "dataplaneProxies": {"connected": 1, "healthy": 1, "total": 1},
        "tls": {"status": "NotReady"},
    }


@pytest.mark.parametrize("mode", ["Everywhere", "ReachableBackends", "Exclusive"])
def test_every_mode_but_disabled_makes_them(mode: str) -> None:
    made = zone(mesh(mode))
    made.connect(made_by("backend"))
    assert found(made) is not None
    off = zone(mesh("Disabled"))
    off.connect(made_by("backend"))
    assert found(off) is None


def test_a_mode_that_changes_makes_them_and_takes_them_away_at_once() -> None:
    made = zone(mesh("Disabled"))
    made.connect(made_by("backend"))
    followed = Followed(made)
    followed.connect()
    revised(followed, "c2", mesh())
    assert found(made) is not None
    effects = revised(followed, "c3", mesh("Disabled"))
    assert found(made) is None
    assert z.Persist("local", drop=(one_key("backend"),)) in effects


def revised(followed: Followed, commit: str, *policies: MeshResource) -> list[z.Effect]:
    return followed.send(sliced(commit, *policies), *OWNED_TYPES, MANIFEST)


def one_key(name: str) -> ResourceKey:
    return ResourceKey("MeshService", "default", name)


@pytest.mark.parametrize("name", ["1backend", "back_end", "Backend", "back.end", "b" * 64, "b-"])
def test_a_service_that_is_no_dns_label_has_none(name: str) -> None:
    made = zone(mesh())
    made.connect(made_by(name, "proxy"))
    assert made.state.local.of("MeshService") == ()


def test_several_inbounds_of_a_service_are_its_ports_and_all_services_its_identities() -> None:
    document = made_by("backend")
    tags = {"kuma.io/service": "backend"}
    document["networking"]["inbound"] += [
        {"port": 90, "name": "admin", "protocol": "grpc", "tags": tags},
        {"port": 80, "address": "10.0.0.2", "tags": {**tags, "kuma.io/protocol": "tcp"}},
        {"port": 91, "tags": {"kuma.io/service": "other"}},
    ]
    made = zone(mesh())
    made.connect(document)
    assert not notes(made, "proxy.refused"), notes(made, "proxy.refused")
    assert [(p["name"], p["port"], p["appProtocol"]) for p in spec(made)["ports"]] == [
        ("80", 80, "http"),
        ("admin", 90, "grpc"),
    ]
    assert [p["appProtocol"] for p in spec(made, "other")["ports"]] == ["tcp"]
    for name in ("backend", "other"):
        assert [i["value"] for i in spec(made, name)["identities"]] == ["backend", "other"]


def test_a_proxy_that_only_sends_makes_none() -> None:
    made = zone(mesh())
    gateway = {"tags": {"kuma.io/service": "edge"}}
    made.connect(
        {"type": "Dataplane", "mesh": "default", "name": "edge",
         "networking": {"address": "10.0.0.1", "gateway": gateway}}
    )  # fmt: skip
    assert made.state.local.of("MeshService") == ()


def test_ports_hold_as_long_as_a_proxy_has_them_and_others_are_told_of_once() -> None:
    made = zone(mesh())
    old = made.connect(at_port("backend-9", 80))
    made.connect(at_port("backend-0", 81))
    (told,) = notes(made, "service.ports_differ")
    assert told == {"mesh": "default", "service": "backend", "proxies": ["backend-0"], "count": 1}
    made.connect(at_port("backend-1", 81))
    assert len(notes(made, "service.ports_differ")) == 1
    assert [p["port"] for p in spec(made)["ports"]] == [80]
    made.tick(1)
    assert status(made)["dataplaneProxies"] == {"connected": 3, "healthy": 1, "total": 3}
    made.lose(old)
    assert spec(made)["state"] == "Unavailable"
    made.tick(10)
    assert [p["port"] for p in spec(made)["ports"]] == [81]
    assert spec(made)["state"] == "Available"


def test_losing_proxies_is_not_deleting_a_service() -> None:
    made = zone(mesh())
    stream = made.connect(made_by("backend"))
    before = spec(made)
    made.lose(stream)
    assert spec(made) == {**before, "state": "Unavailable"}
    assert one(made).labels.get(SINCE) is None
    made.tick(10)
    assert made.state.local.of("Dataplane") == ()
    assert spec(made) == {**before, "state": "Unavailable"}
    assert one(made).labels.get(SINCE) == "2027-01-15T08:00:10Z"
    assert status(made) == {**NAMED, "dataplaneProxies": {}, "tls": {"status": "NotReady"}}
    made.tick(HOUR - 1)
    assert found(made) is not None
    made.tick(1)
    assert found(made) is None
    assert z.Persist("local", drop=(one_key("backend"),)) in made.effects
    assert notes(made, "service.removed") == [{"mesh": "default", "service": "backend"}]


def test_since_when_a_service_has_no_proxy_is_told_to_nobody_else() -> None:
    """As in Kuma: callers in all zones would compute for nothing."""
    made = zone(mesh())
    made.lose(made.connect(made_by("backend")))
    merged, (told,) = made.state.merged, published(made)
    made.tick(10)
    assert one(made).labels.get(SINCE) is not None
    key = one_key("backend")
    assert made.state.merged.get(key) is merged.get(key)
    (after,) = published(made)
    before = decode_entry("MeshService", told.entry)
    now = decode_entry("MeshService", after.entry)
    assert (now.labels, now.body) == (before.labels, before.body)
    assert SINCE not in now.labels


def test_the_zone_wakes_for_the_end_of_a_service() -> None:
    made = zone(mesh())
    made.lose(made.connect(made_by("backend")))
    made.tick(10)
    assert z.WakeAt(made.now + HOUR) in made.effects


def test_a_service_whose_proxy_returns_stays_and_a_restart_forgets_no_time() -> None:
    made = zone(mesh())
    made.lose(made.connect(made_by("backend")))
    made.tick(10)
    made.tick(HOUR / 2)
    again = restarted(made)
    assert one(again).labels.get(SINCE) == "2027-01-15T08:00:10Z"
    again.tick(HOUR / 2 - 1)
    assert found(again) is not None
    other = restarted(again)
    other.connect(made_by("backend"))
    assert one(other).labels.get(SINCE) is None
    assert spec(other)["state"] == "Available"
    other.tick(HOUR)
    assert found(other) is not None
    again.tick(1)
    assert found(again) is None


@pytest.mark.parametrize("since", ["", "yesterday", "2199-01-01T00:00:00Z"])
def test_a_time_that_no_clock_can_have_said_begins_anew(since: str) -> None:
    made = zone(mesh())
    made.lose(made.connect(made_by("backend")))
    made.tick(10)
    kept = one(made)
    labels = kept.labels.with_labels({SINCE: since})
    again = Zone(z.ZoneState(settings=made.state.settings), now=made.now)
    local = (replace(kept, labels=labels),)
    again.deliver(z.Restored(made.now, made.state.policy.all(), local=local))
    assert one(again).labels == kept.labels


def test_a_restart_keeps_services_and_ends_none_before_its_proxies_had_time_to_return() -> None:
    made = zone(mesh())
    made.connect(made_by("backend"))
    made.tick(1)
    again = restarted(made)
    assert spec(again) == spec(made)
    assert status(again)["dataplaneProxies"] == {"connected": 1, "healthy": 1, "total": 1}
    again.tick(1)
    assert status(again)["dataplaneProxies"] == {"healthy": 1, "total": 1}
    assert spec(again)["state"] == "Available"


def test_after_a_start_in_which_nothing_changes_services_say_their_names() -> None:
    """It ended between the service and what it says of its names."""
    made = zone(mesh())
    made.connect(made_by("backend"))
    service = found(made)
    assert service is not None
    names = status(made)["addresses"]
    bare = replace(service, status='{"tls":{"status":"NotReady"}}')
    local = [r for r in made.state.local.all() if r.key.type == "Dataplane"]
    again = Zone(z.ZoneState(settings=made.state.settings), now=made.now)
    again.deliver(z.Restored(made.now, made.state.policy.all(), local=(*local, bare)))
    again.tick(20)
    assert status(again)["addresses"] == names


def test_what_differs_in_counts_at_a_restart_is_looked_at_by_a_clock() -> None:
    """The first round: no timer can be set for the beginning of time."""
    made = zone(mesh())
    made.connect(made_by("backend"))
    made.tick(1)
    again = restarted(made)
    wakes = [effect.at for effect in again.effects if isinstance(effect, z.WakeAt)]
    assert 0 < min(wakes) <= made.now
    moments = Moments()
    for at in wakes:
        moments.add(at, made.now)
    assert moments.take(made.now)


def test_mesh_services_that_somebody_made_are_left_alone() -> None:
    data = {"selector": {"dataplaneTags": {"app": "x"}}, "ports": [{"port": 1}]}
    by_hand = mesh_resource(one_key("backend"), Labels(), data)
    made = Zone(z.ZoneState(settings=settings()))
    made.deliver(z.Restored(START, (mesh(),), local=(by_hand,), revision="c1"))
    made.lose(made.connect(made_by("backend")))
    made.tick(HOUR * 2)
    assert found(made) == by_hand


def test_a_name_that_another_zones_service_has_is_left_to_it() -> None:
    other = mesh_resource(one_key("backend"), Labels.of({"kuma.io/zone": "west"}), {})
    made = Zone(z.ZoneState(settings=settings()))
    made.deliver(z.Restored(START, (mesh(),), (other,), revision="c1"))
    made.connect(made_by("backend"))
    assert found(made) is None
    assert made.state.merged.get(other.key) == other


def test_a_mesh_that_is_gone_takes_no_service_along() -> None:
    made = zone(mesh())
    made.connect(made_by("backend"))
    again = restarted(made, mesh_resource(ResourceKey("Mesh", "", "other"), Labels(), {}))
    assert spec(again) == spec(made)
    again.tick(60)
    again.tick(10)
    assert one(again).labels.get(SINCE) is not None


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


def published(made: Zone) -> list[XdsResource]:
    """What the global is told of MeshServices."""
    return list(made.state.published.types["MeshService"].values())


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
