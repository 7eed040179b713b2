"""The MeshServices that a zone makes of its proxies, and what they say: as Kuma's generator and
status updater, at once where it decides something, and no sooner than needed where it is counted.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.decode import mesh_resource
from reconciler.kds.codec import decode_entry
from reconciler.model.resource import Labels, ResourceKey
from reconciler.runtime.timer import Moments
from reconciler.steps import zone_state as z
from tests.support.mesh_services import (
    HOUR,
    NAMED,
    SINCE,
    at_port,
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
