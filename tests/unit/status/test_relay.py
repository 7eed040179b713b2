"""Zones that do not push their status: what they announce, and what the global writes for them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest

from reconciler.git.address import address
from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.manifest import ConvergenceReport, encode_report
from reconciler.kds.names import hashed_name
from reconciler.kds.types import REPORT, STATUS
from reconciler.model.resource import Labels, canonical_json
from reconciler.status.announcement import (
    StatusMode,
    ZoneStatus,
    encode_status,
    parse_status,
)
from reconciler.status.document import (
    Inventory,
    ProxyClass,
    ProxyEntry,
    Rendering,
    StatusInput,
    files,
)
from reconciler.status.follower import FollowerOptions, StatusFollower, content_of
from reconciler.status.relay import StatusRelay
from reconciler.status.writer import status_writer
from reconciler.steps import global_state as g
from reconciler.steps import zone_state as z
from reconciler.steps.relay_step import Relayed, Release, decide, status_input
from reconciler.steps.status_state import StatusSettings
from tests.support.git_repos import PolicyRepo, git
from tests.support.global_plane import Global, ingress_entry, named_by
from tests.support.zone import INGRESS, Zone, dataplane, zone
from xds.discovery import DeltaRequest, DeltaResponse, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from xds.resource import XdsResource

SHAPE = canonical_json({"inbounds": [{"port": 80, "tags": {"kuma.io/service": "web"}}]})
RELAY = ZoneStatus(StatusMode.RELAY)
FULL = ZoneStatus(
    StatusMode.RELAY,
    Inventory.FULL,
    complete=True,
    proxies=(ProxyEntry("default", "web-1", "10.0.0.1", SHAPE),),
)
CLASSES = replace(RELAY, complete=True, classes=(ProxyClass("default", SHAPE, 2),))
LOG = logging.getLogger("test")


# --- the announcement ---


@pytest.mark.parametrize(
    "status", [RELAY, FULL, CLASSES, ZoneStatus(StatusMode.DIRECT), ZoneStatus(StatusMode.OFF)]
)
def test_what_is_announced_is_read_back(status: ZoneStatus) -> None:
    assert parse_status(encode_status("east", status).entry) == status


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"mode": "mine", "inventory": "off"},
        {"mode": "relay", "inventory": "classes", "classes": [["m", "{", 1]]},
        {"mode": "relay", "inventory": "classes", "classes": [["m", "[]", -1]]},
        {"mode": "relay", "inventory": "classes", "classes": [["m", '[{"port": 1}]', 1]]},
        {"mode": "relay", "inventory": "classes", "classes": [["m", "[]", 1]] * 5001},
        {"mode": "relay", "inventory": "full", "proxies": 3},
    ],
)
def test_an_announcement_that_makes_no_sense_is_refused(data: dict[str, Any]) -> None:
    entry = encode_carried(CarriedResource(STATUS, "", "east", {}, canonical_json(data))).entry
    with pytest.raises(RemoteProtocolError, match=STATUS):
        parse_status(entry)


def announced(found: Zone) -> ZoneStatus | None:
    """What the zone's last message of the type says."""
    sent = [e.response for e in found.effects if isinstance(e, z.ToGlobalResponse)]
    entries = [
        r.entry for response in sent if response.type_url == STATUS for r in response.resources
    ]
    return parse_status(entries[-1]) if entries else None


def test_a_zone_says_from_the_start_who_writes_its_ref_and_the_rest_when_it_knows_it() -> None:
    found = zone(status=RELAY)
    found.deliver(z.GlobalConnected("s"))
    found.deliver(z.GlobalRequest("s", DeltaRequest(STATUS)))
    assert announced(found) == RELAY
    found.deliver(z.GlobalRequest("s", DeltaRequest(STATUS, nonce="1")))
    found.connect(dataplane("web-1", "web"))
    found.tick(1)
    told = announced(found)
    assert told is not None
    assert told.complete
    assert [(c.mesh, c.count) for c in told.classes] == [("default", 1)]
    found.tick(5)
    assert announced(found) is None  # says nothing twice


def test_a_zone_that_pushes_itself_announces_that_and_no_inventory() -> None:
    found = zone(status=ZoneStatus(StatusMode.DIRECT))
    found.deliver(z.GlobalConnected("s"))
    found.deliver(z.GlobalRequest("s", DeltaRequest(STATUS)))
    assert announced(found) == ZoneStatus(StatusMode.DIRECT)
    found.deliver(z.GlobalRequest("s", DeltaRequest(STATUS, nonce="1")))
    found.connect(dataplane("web-1", "web"))
    found.tick(5)
    assert announced(found) is None


# --- what the global makes of it ---


def sends(globe: Global, zone_name: str, type_: str, *entries: XdsResource) -> None:
    response = DeltaResponse(type_, str(time.monotonic_ns()), entries)
    globe.deliver(g.ZonePublished(f"{zone_name}-up", response))


REPORTED = ConvergenceReport("c1", total=2, acked=2)


def globe_with(zone_name: str = "east") -> Global:
    globe = Global()
    globe.publish()
    globe.connect(zone_name)
    return globe


def decided(globe: Global, zone_name: str = "east") -> Relayed | Release | None:
    return decide(globe.state.zones[zone_name], Inventory.CLASSES)


def test_nothing_is_written_for_a_zone_before_all_of_it_was_heard() -> None:
    globe = globe_with()
    assert decided(globe) is None
    sends(globe, "east", STATUS, encode_status("east", RELAY))
    sends(globe, "east", REPORT, encode_report("east", REPORTED))
    sends(globe, "east", "ZoneIngress")
    assert decided(globe) is None, "the inventory is not known yet, and not empty"
    sends(globe, "east", STATUS, encode_status("east", CLASSES))
    assert isinstance(decided(globe), Relayed)
    globe.deliver(g.ZoneOpened("east-up-2", "east", False, "key-1", 1.0))
    assert decided(globe) is None, "a new stream has to say it all again"


def test_who_writes_its_own_ref_is_left_alone() -> None:
    for mode in (StatusMode.DIRECT, StatusMode.OFF):
        globe = globe_with()
        sends(globe, "east", STATUS, encode_status("east", ZoneStatus(mode)))
        assert decided(globe) == Release("east")


def test_a_relayed_ref_says_what_the_zone_would_have_written() -> None:
    here, itself = zone(status=RELAY), zone(status=ZoneStatus(StatusMode.DIRECT))
    for each in (here, itself):
        each.connect(INGRESS)
        each.acknowledge_all(each.connect(dataplane("web-1", "web")))
        each.tick(1)
    (wanted,) = (e.status for e in itself.effects if isinstance(e, z.StatusWanted))
    assert not any(isinstance(e, z.StatusWanted) for e in here.effects)
    globe = globe_with()
    for type_ in (STATUS, REPORT, "ZoneIngress"):
        sends(globe, "east", type_, *here.state.published.types[type_].values())
    relayed = decided(globe)
    assert isinstance(relayed, Relayed)
    direct, made = (
        {path: body.decode() for path, body in files(status).items()}
        for status in (wanted, status_input(relayed))
    )
    assert set(direct) == set(made) == {"applied.yaml", "ingress.yaml", "proxies/default/web.yaml"}
    assert made["proxies/default/web.yaml"] == direct["proxies/default/web.yaml"]
    assert made["applied.yaml"] == direct["applied.yaml"]
    assert "kuma.io/service: web" in made["ingress.yaml"]


def kuma_resource(type_: str, name: str, data: dict[str, Any]) -> XdsResource:
    mesh = "" if type_.startswith("ZoneIngress") else "default"
    labels = {"kuma.io/display-name": name, "kuma.io/zone": "east"}
    wire = hashed_name(mesh, name, Labels.of(labels))
    return encode_carried(CarriedResource(type_, mesh, wire, labels, canonical_json(data)))


def insight(name: str, *, online: bool) -> XdsResource:
    subscription = {"id": "1", "connectTime": "2026-01-01T00:00:00Z"}
    gone = {} if online else {"disconnectTime": "2026-01-01T00:00:01Z"}
    return kuma_resource("DataplaneInsight", name, {"subscriptions": [subscription | gone]})


def kuma_zone() -> Global:
    """As a real zone sends it: the type that is ours it answers empty."""
    globe = globe_with()
    sends(globe, "east", STATUS)
    sends(globe, "east", "ZoneIngress", named_by("east", ingress_entry("ingress")))
    names = ("web-1", "web-2", "web-3")
    found = [kuma_resource("Dataplane", name, networking(name)) for name in names]
    sends(globe, "east", "Dataplane", *found)
    assert decided(globe) is None, "who is online is not known yet"
    told = [insight(name, online=name != "web-3") for name in names]
    sends(globe, "east", "DataplaneInsight", *told)
    return globe


def networking(name: str) -> dict[str, Any]:
    return {"networking": dataplane(name, "web")["networking"]}


def test_a_kuma_zone_that_comes_back_is_not_known_before_it_has_said_all_again() -> None:
    globe = kuma_zone()
    globe.deliver(g.ZoneOpened("east-up", "east", False, "key-1", 1.0))
    assert decided(globe) is None
    sends(globe, "east", STATUS)
    assert decided(globe) is None, "what it told on its last stream may be over"


def test_the_status_of_a_real_kuma_zone_is_derived_from_its_inventory() -> None:
    relayed = decided(kuma_zone())
    assert isinstance(relayed, Relayed)
    content = content_of(status_input(relayed), relayed.status.inventory, Rendering()).content
    assert b"revision: null\n" in content.files["applied.yaml"]
    assert b"total: 2\n  acked: null\n  pending: null\n" in content.files["applied.yaml"]
    assert b"name: ingress\n" in content.files["ingress.yaml"]
    assert b"count: 2\n" in content.files["proxies/default/web.yaml"]
    assert content.message == "revision unknown, ?/2 proxies, ingress ingress"
    full = files(status_input(relayed), Inventory.FULL)["proxies/default/web.yaml"]
    assert b"web-2" in full
    assert b"web-3" not in full, "its insight says that it is offline"


def test_the_revision_of_a_real_kuma_zone_is_what_it_acknowledged() -> None:
    globe = kuma_zone()
    record = replace(globe.state.zones["east"], took="c2")
    relayed = decide(record, Inventory.CLASSES)
    assert isinstance(relayed, Relayed)
    content = content_of(status_input(relayed), relayed.status.inventory, Rendering()).content
    assert b"revision: c2\n" in content.files["applied.yaml"]
    assert b"acked: null\n" in content.files["applied.yaml"], "of its proxies it does not tell"


# --- and its way into Git ---


def follower_in(repo: PolicyRepo, state: Path) -> StatusFollower:
    state.mkdir(exist_ok=True)
    writer = status_writer(None, address(str(repo.bare)), state, time.time)
    settings = StatusSettings(backoff=lambda _: 0.05, coalesce_s=0.0, pushes_per_minute=0)
    return StatusFollower(writer, FollowerOptions(settings=settings), LOG)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - Git is another process
            await asyncio.sleep(0.01)


def refs(repo: PolicyRepo) -> set[str]:
    return set(git(repo.bare, "for-each-ref", "--format=%(refname)", "refs/heads/status").split())


async def test_one_global_writes_the_refs_of_relay_and_kuma_zones_and_of_no_other(
    tmp_path: Path,
) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    follower = follower_in(repo, tmp_path / "state")
    relay = StatusRelay(follower, Inventory.CLASSES)
    globe = kuma_zone()
    for name, status in (("west", CLASSES), ("north", ZoneStatus(StatusMode.DIRECT))):
        globe.connect(name)
        sends(globe, name, STATUS, encode_status(name, status))
        sends(globe, name, REPORT, encode_report(name, REPORTED))
        sends(globe, name, "ZoneIngress")
    relay.look(globe.state.zones)
    await eventually(lambda: len(refs(repo)) == 2)
    assert refs(repo) == {"refs/heads/status/east", "refs/heads/status/west"}
    author = git(repo.bare, "log", "-1", "--format=%an", "refs/heads/status/west")
    assert author == "mesh-reconciler global"
    pushes = follower.state.counters.pushes
    relay.look(globe.state.zones)
    await follower.stop()
    assert follower.state.counters.pushes == pushes, "nothing changed, nothing is pushed"
    assert follower.error == ""


async def test_zones_that_are_as_they_were_are_not_looked_at(tmp_path: Path) -> None:
    """After every decision, of which a zone's ACKs are most: it would cost all zones times all
    answers.
    """
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    follower = follower_in(repo, tmp_path / "state")
    relay = StatusRelay(follower, Inventory.CLASSES)
    known = dict(globe_with().state.zones.items())
    zones = MagicMock()
    zones.items.side_effect = known.items
    zones.__len__.side_effect = known.__len__
    for _ in range(10):
        relay.look(zones)
    assert zones.items.call_count == 1
    await follower.stop()


def own_status(globe: Global) -> StatusInput:
    """What zone east says itself, of the next revision."""
    relayed = Relayed("east", CLASSES, globe.state.zones["east"].owned, REPORTED)
    return replace(status_input(relayed), revision="c2")


async def test_a_zone_that_takes_its_ref_over_meets_no_second_writer(tmp_path: Path) -> None:
    """Relay, then direct, then relay again: one writer at a time, and one history."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    follower = follower_in(repo, tmp_path / "state")
    relay = StatusRelay(follower, Inventory.CLASSES)
    globe = globe_with()
    sends(globe, "east", REPORT, encode_report("east", REPORTED))
    sends(globe, "east", "ZoneIngress")

    def says(status: ZoneStatus) -> None:
        sends(globe, "east", STATUS, encode_status("east", status))
        relay.look(globe.state.zones)

    def author() -> str:
        try:
            return git(repo.bare, "log", "-1", "--format=%an", "refs/heads/status/east")
        except RuntimeError:
            return ""

    says(CLASSES)
    await eventually(lambda: author() == "mesh-reconciler global")
    says(ZoneStatus(StatusMode.DIRECT))
    writer = status_writer("east", address(str(repo.bare)), tmp_path, time.time)
    own = StatusFollower(writer, follower.options, LOG)
    own.want(own_status(globe))
    await eventually(lambda: author() == "mesh-reconciler zone east")
    says(ZoneStatus(StatusMode.DIRECT))
    await own.stop()
    assert own.error == follower.error == ""
    assert own.state.counters.rivals == 0
    says(CLASSES)
    await eventually(lambda: author() == "mesh-reconciler global")
    await follower.stop()
    assert follower.error == ""
    assert follower.state.counters.rivals == 0
    assert git(repo.bare, "rev-list", "--count", "refs/heads/status/east") == "3"


async def test_nothing_is_kept_of_a_zone_that_is_forgotten(tmp_path: Path) -> None:
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    follower = follower_in(repo, tmp_path / "state")
    relay = StatusRelay(follower, Inventory.CLASSES)
    globe = globe_with()
    sends(globe, "east", STATUS, encode_status("east", CLASSES))
    sends(globe, "east", REPORT, encode_report("east", REPORTED))
    sends(globe, "east", "ZoneIngress")
    relay.look(globe.state.zones)
    await eventually(lambda: len(refs(repo)) == 1)
    relay.look({})
    assert (relay._seen, relay._held, follower._wishes, follower.state.refs) == ({}, set(), {}, {})
    await follower.stop()
    assert len(refs(repo)) == 1, "what it said last can be read"


async def test_both_writing_for_a_moment_lose_nothing_and_say_so(tmp_path: Path) -> None:
    """The announcement travels while the other still writes: compare and swap decides."""
    repo = PolicyRepo.create(tmp_path, {"a.yaml": "0"})
    follower = follower_in(repo, tmp_path / "state")
    relay = StatusRelay(follower, Inventory.CLASSES)
    globe = globe_with()
    sends(globe, "east", REPORT, encode_report("east", REPORTED))
    sends(globe, "east", "ZoneIngress")
    sends(globe, "east", STATUS, encode_status("east", CLASSES))
    relay.look(globe.state.zones)
    await eventually(lambda: follower.state.counters.commits == 1)
    other = status_writer("east", address(str(repo.bare)), tmp_path, time.time)
    own = StatusFollower(other, follower.options, LOG)
    own.want(own_status(globe))
    await eventually(lambda: own.state.counters.commits == 1)
    sends(globe, "east", REPORT, encode_report("east", replace(REPORTED, acked=1, pending=1)))
    relay.look(globe.state.zones)
    await eventually(lambda: follower.state.counters.commits == 2)
    assert "'mesh-reconciler zone east'" in follower.error
    assert follower.state.counters.rivals == 1
    sends(globe, "east", STATUS, encode_status("east", ZoneStatus(StatusMode.DIRECT)))
    relay.look(globe.state.zones)
    assert follower.error == ""
    await own.stop()
    await follower.stop()
    assert git(repo.bare, "rev-list", "--count", "refs/heads/status/east") == "3"
    assert json.dumps(follower.facts())
