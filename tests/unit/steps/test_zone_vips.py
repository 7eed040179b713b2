"""The addresses that a zone gives to names: on its disk before a proxy is told, and the same after
whatever ends and begins again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Any

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import ResourceDiff, apply
from reconciler.steps import zone_build
from reconciler.steps import zone_state as z
from reconciler.steps.zone_step import step
from reconciler.vips.allocation import Allocations, Pools
from reconciler.vips.stored import allocations_of, text_of
from tests.support.zone import MESH, START, Zone, dataplane, issued, settings
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER, ENDPOINT, LISTENER

SAID = {
    "dataplane.dns.port": "15053",
}


def captured(name: str, service: str, address: str) -> dict[str, Any]:
    found = dataplane(name, service, address=address)
    ports = {"redirectPortInbound": 15006, "redirectPortOutbound": 15001}
    return {**found, "networking": {**found["networking"], "transparentProxying": ports}}


WEB, DB = captured("web-1", "web", "10.0.0.1"), captured("db-1", "db", "10.0.0.2")


@dataclass
class Recorded(Zone):
    """`all_effects`: since the start."""

    all_effects: list[z.Effect] = field(default_factory=list)

    def deliver(self, event: z.Event) -> list[z.Effect]:
        found = super().deliver(event)
        self.all_effects += found
        return found


def zone(**changes: Any) -> Recorded:
    made = Recorded(z.ZoneState(settings=settings(**changes)))
    made.deliver(z.Restored(START, (MESH,), revision="c1"))
    return made


def is_kept(effect: z.Effect) -> bool:
    return isinstance(effect, z.PersistVips)


def addresses(made: Zone) -> dict[str, str]:
    held = made.state.vips.of("default")
    return {entry.name: address for entry, address in held.items()}


def kept(made: Recorded) -> Allocations:
    """What the disk holds."""
    written = [e for e in made.all_effects if isinstance(e, z.PersistVips)]
    return allocations_of(text_of(written[-1].allocations))


def listening(effect: z.Effect) -> bool:
    return isinstance(effect, z.ToProxy) and effect.response.type_url == LISTENER


def tells(effect: z.Effect, name: bytes) -> bool:
    if not isinstance(effect, z.ToProxy) or effect.response.type_url != LISTENER:
        return False
    return any(name in resource.entry for resource in effect.response.resources)


def restarted(made: Zone, vips: Allocations) -> Recorded:
    again = Recorded(z.ZoneState(settings=made.state.settings), now=made.now)
    local = tuple(r for r in made.state.local.all() if r.key.type == "Dataplane")
    again.deliver(z.Restored(made.now, (MESH,), local=local, revision="c1", vips=vips))
    return again


def test_an_address_is_on_disk_before_a_proxy_is_told_of_it() -> None:
    made = zone()
    for document in (WEB, DB):
        made.acknowledge_all(made.connect(document, said=SAID))
    made.acknowledge_all("s1")
    effects = made.all_effects
    (first, second) = [i for i, e in enumerate(effects) if is_kept(e)]
    assert first < min(i for i, e in enumerate(effects) if tells(e, b"web.mesh"))
    assert second < min(i for i, e in enumerate(effects) if tells(e, b"db.mesh"))
    assert addresses(made) == {"web": "240.0.0.0", "db": "240.0.0.1"}
    assert kept(made).of("default") == made.state.vips.of("default")


def test_nothing_is_written_that_is_on_disk_already() -> None:
    made = zone()
    made.connect(WEB, said=SAID)
    made.connect(captured("web-2", "web", "10.0.0.3"), said=SAID)
    assert len([e for e in made.all_effects if is_kept(e)]) == 1


def test_names_have_the_same_addresses_after_a_restart() -> None:
    """Not those that they would be given anew: those come in the order of names."""
    made = zone()
    made.connect(WEB, said=SAID)
    made.connect(DB, said=SAID)
    again = restarted(made, kept(made))
    assert addresses(again) == addresses(made) == {"web": "240.0.0.0", "db": "240.0.0.1"}
    again.connect(captured("api-1", "api", "10.0.0.4"), said=SAID)
    assert addresses(again)["api"] == "240.0.0.2"


def test_addresses_given_at_a_start_are_on_disk_before_a_proxy_is_told() -> None:
    """Of an earlier program, which gave none: nothing else changes that would have them written."""
    made = zone()
    made.connect(WEB, said=SAID)
    again = restarted(made, Allocations())
    again.connect(WEB, said=SAID)
    effects = again.all_effects
    stored = next(i for i, e in enumerate(effects) if is_kept(e))
    assert stored < next(i for i, e in enumerate(effects) if listening(e))


def test_endpoints_of_a_service_reach_whoever_may_call_all() -> None:
    made = zone()
    streams = [made.connect(WEB, said=SAID), made.connect(DB, said=SAID)]
    for stream in streams:
        made.acknowledge_all(stream)
    made.sent.clear()
    made.connect(captured("db-2", "db", "10.0.0.9"), said=SAID)
    for stream in streams:
        types = {response.type_url for response in made.sent.get(stream, ())}
        assert types == {ENDPOINT}


def test_a_new_service_is_told_to_others_at_once_when_its_first_proxy_listens() -> None:
    """Its name, cluster and endpoints in a response each: a name alone would be as many again."""
    made = zone()
    web = made.connect(WEB, said=SAID)
    made.acknowledge_all(web)
    db = made.connect(DB, said=SAID, listeners=False)
    assert web not in made.sent
    assert "db" not in addresses(made)
    assert made.state.local.get(ResourceKey("Dataplane", "default", "db-1")) is not None
    made.request(db, DeltaRequest(LISTENER))
    (listeners,) = [r for r in made.sent[db] if r.type_url == LISTENER]
    made.request(db, DeltaRequest(LISTENER, nonce=listeners.nonce))
    assert "db" in addresses(made)
    (clusters,) = made.sent.pop(web)
    made.request(web, DeltaRequest(CLUSTER, nonce=clusters.nonce))
    made.request(web, DeltaRequest(ENDPOINT, subscribe=("db",)))
    (endpoints,) = made.sent.pop(web)
    assert [b"10.0.0.2" in r.entry for r in endpoints.resources] == [True]
    made.request(web, DeltaRequest(ENDPOINT, nonce=endpoints.nonce))
    assert [r.type_url for r in made.sent[web]] == [LISTENER]


def test_a_proxy_that_goes_without_having_listened_leaves_nothing() -> None:
    made = zone()
    made.connect(WEB, said=SAID)
    cached = made.state.contexts["default"].cached
    held = {*cached.selected}, {*cached.views}
    made.lose(made.connect(DB, said=SAID, listeners=False))
    made.tick(1_000)
    assert ResourceKey("Dataplane", "default", "db-1") not in made.state.local.by_key
    cached = made.state.contexts["default"].cached
    assert ({*cached.selected}, {*cached.views}) == held


def test_a_turn_builds_no_more_than_it_has_time_for() -> None:
    """Of what a proxy of a large mesh needs first."""
    made = zone(build_batch=1)
    for number in range(60):
        made.connect(dataplane(f"s{number}", f"s{number}", address=f"10.1.0.{number + 1}"))
    made.streams += 1
    node = Node("default.web-1", metadata={"dataplane.resource": json.dumps(WEB), **SAID})
    queue: list[z.Event] = [
        z.ProxyOpened("new", "token"),
        z.ProxyRequest("new", DeltaRequest(CLUSTER, node), made.now),
    ]
    state, turns = made.state, 0
    while queue:
        before = sum(state.settings.builders.rebuilt.values())
        event = queue.pop(0)
        state, effects = step(state, event)
        built = sum(state.settings.builders.rebuilt.values()) - before
        assert built <= 20  # of 190
        turns += isinstance(event, z.BuildDue) and built > 0
        for effect in effects:
            if isinstance(effect, z.BuildSoon):
                queue.append(z.BuildDue(made.now))
            elif isinstance(effect, z.IssueCertificate):
                queue.append(issued(effect, made.now))
    assert turns > 20
    proxy = state.proxies["default.web-1"]
    assert proxy.snapshot is not None
    assert len(proxy.snapshot.clusters) > 60


def test_who_comes_back_has_its_address_and_nobody_had_it_meanwhile() -> None:
    made = zone()
    made.connect(WEB, said=SAID)
    stream = made.connect(DB, said=SAID)
    made.lose(stream)
    made.tick(61.0)  # deregistered
    made.tick(61.0)
    assert "db" not in addresses(made)
    made.connect(captured("api-1", "api", "10.0.0.4"), said=SAID)
    assert addresses(made)["api"] == "240.0.0.2"
    made.connect(DB, said=SAID)
    assert addresses(made)["db"] == "240.0.0.1"


def test_an_address_is_free_again_once_nobody_can_remember_it() -> None:
    made = zone()
    made.connect(WEB, said=SAID)
    stream = made.connect(DB, said=SAID)
    made.lose(stream)
    made.tick(61.0)
    made.tick(3_700.0)
    made.connect(captured("api-1", "api", "10.0.0.4"), said=SAID)
    assert addresses(made)["api"] == "240.0.0.1"


def test_who_has_lost_what_it_gave_gives_none_of_it_to_anybody_else() -> None:
    """Applications may remember it. What is given then is kept as ever."""
    made = zone()
    made.connect(WEB, said=SAID)
    local = tuple(r for r in made.state.local.all() if r.key.type == "Dataplane")
    again = Recorded(z.ZoneState(settings=made.state.settings), now=made.now)
    lost = frozenset({"vips"})
    again.deliver(z.Restored(made.now, (MESH,), local=local, revision="c1", lost=lost))
    again.tick(1.0)
    (address,) = set(addresses(again).values())
    assert address not in addresses(made).values()
    assert ip_address(address) in ip_network("240.0.0.0/4")
    again.connect(DB, said=SAID)
    assert addresses(again)["web"] == address
    assert ip_address(addresses(again)["db"]) == ip_address(address) + 1
    once_more = restarted(again, kept(again))
    assert addresses(once_more) == addresses(again)
    later = Allocations.anew(made.now + 3_600.0).skipped
    assert later not in (0, Allocations.anew(made.now).skipped)


def test_a_zone_may_have_pools_of_its_own() -> None:
    pools = Pools.of(legacy="10.200.0.0/16")
    made = zone(vip_pools=pools)
    made.connect(WEB, said=SAID)
    assert addresses(made) == {"web": "10.200.0.0"}


def virtual(name: str, host: str) -> MeshResource:
    conf = {
        "host": host,
        "port": "80",
        "parameters": [{"name": "s", "tagKey": "kuma.io/service"}],
    }
    body = {"selectors": [{"match": {"kuma.io/service": "*"}}], "conf": conf}
    return mesh_resource(ResourceKey("VirtualOutbound", "default", name), Labels(), body)


def changed(made: Zone, *put: MeshResource) -> None:
    diff = ResourceDiff(put)
    state = made.state
    made.state = replace(state, policy=apply(state.policy, diff), merged=apply(state.merged, diff))
    made.state, _ = zone_build.touched(made.state, diff)
    made.deliver(z.BuildDue(made.now))


def test_a_changed_name_reaches_every_proxy_and_a_name_that_two_want_is_told_once() -> None:
    made = zone()
    streams = [made.connect(WEB, said=SAID), made.connect(DB, said=SAID)]
    for stream in streams:
        made.acknowledge_all(stream)
    changed(made, virtual("v", "{{.s}}.virtual"))
    told = {e.stream for e in made.effects if isinstance(e, z.ToProxy)}
    assert told == set(streams)
    assert {"web.virtual", "db.virtual"} <= set(addresses(made))
    assert not [note for note in made.noted if note.event == "name.refused"]
    changed(made, virtual("v", "one.virtual"))
    changed(made, virtual("v", "one.virtual"))
    (note,) = [note for note in made.noted if note.event == "name.refused"]
    assert note.fields["name"] == "one.virtual"
    assert note.fields["port"] == 80
    assert "one.virtual" in str(note.fields["reason"])


def test_an_empty_pool_is_told_and_everybody_else_is_served() -> None:
    pools = Pools.of(legacy="10.200.0.0/32")
    made = zone(vip_pools=pools)
    made.connect(WEB, said=SAID)
    made.connect(DB, said=SAID)
    assert addresses(made) == {"web": "10.200.0.0"}
    (note,) = [note for note in made.noted if note.event == "vips.exhausted"]
    assert note.fields == {"mesh": "default", "count": 1, "names": ["db"]}
