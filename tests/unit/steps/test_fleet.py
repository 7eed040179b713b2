"""Keys are made once: neither side replaces those of another fleet unless somebody said so."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from logging import getLogger
from typing import TYPE_CHECKING
from unittest.mock import Mock

from reconciler.decode import mesh_resource
from reconciler.fleet import HELD, cluster_id
from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES
from reconciler.model.resource import Labels, MeshResource, ResourceKey, canonical_json
from reconciler.state import from_resources
from reconciler.steps import global_state as g
from reconciler.steps import zone_state as z
from reconciler.store import Store
from reconciler.zone_cp.answers import ZoneAnswers
from reconciler.zone_cp.plane import ZoneControlPlane
from tests.support.global_plane import Global
from tests.support.zone import MESH, Zone, dataplane, zone
from xds.discovery import DeltaRequest, DeltaResponse, Node

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FAILED_PRECONDITION = 9


def config(id_: str) -> MeshResource:
    return mesh_resource(ResourceKey("Config", "", "kuma-cluster-id"), Labels(), {"config": id_})


def test_id_is_read_once_however_often_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """At every message of every zone."""
    state, other = from_resources([config("read-once")]), from_resources([config("another")])
    read = Mock(side_effect=json.loads)
    monkeypatch.setattr("reconciler.fleet.json.loads", read)
    assert [cluster_id(state) for _ in range(10)] == ["read-once"] * 10
    assert read.call_count == 1
    assert (cluster_id(other), cluster_id(from_resources(()))) == ("another", "")


# --- the global ---


def asked(held: str | None, *, takes_over: bool = False) -> Global:
    """A global of cluster "new", asked for its Mesh by a zone that holds the keys of `held`."""
    made = Global()
    settings = replace(made.state.settings, takes_over=takes_over)
    made.state = replace(made.state, settings=settings)
    made.publish(config("new"))
    metadata = {} if held is None else {HELD: held}
    made.deliver(g.ZoneOpened("d", "east", True, "key-1", 0.0))
    made.deliver(g.ZoneSubscribed("d", DeltaRequest("Mesh", Node("east", metadata=metadata))))
    return made


def closing(made: Global) -> g.CloseSession | None:
    return next((e for e in made.effects if isinstance(e, g.CloseSession)), None)


def test_global_gives_nothing_to_a_zone_that_holds_other_keys() -> None:
    made = asked("old")
    found = closing(made)
    assert found is not None
    assert found.code == FAILED_PRECONDITION
    assert "cluster old, this one is new" in found.message
    assert "--new-keys" in found.message
    assert made.sent == {}
    assert [e.event for e in made.effects if isinstance(e, g.Note)] == ["zone.foreign_refused"]
    made.deliver(g.ZoneSubscribed("d", DeltaRequest("Secret")))  # It had asked for more already.
    assert closing(made) is not None
    assert not [e for e in made.effects if isinstance(e, g.Note)]
    made.publish(config("new"), commit="c2")
    assert made.sent == {}


def test_global_serves_zones_of_its_own_new_ones_and_all_after_new_keys() -> None:
    for made in (asked("new"), asked(None), asked("old", takes_over=True)):
        assert closing(made) is None
        assert "d" in made.sent


# --- the zone ---


def holding(id_: str | None, accepts: str = "") -> Zone:
    made = zone(MESH, *((config(id_),) if id_ else ()))
    settings = replace(made.state.settings, accepts_cluster=accepts)
    made.state = replace(made.state, settings=settings)
    made.deliver(z.GlobalConnected("g1"))
    return made


def receive(made: Zone, type_: str, *resources: tuple[str, dict[str, object]]) -> None:
    entries = tuple(
        encode_carried(
            CarriedResource(type_, "", name, {"kuma.io/origin": "global"}, canonical_json(data))
        )
        for name, data in resources
    )
    made.deliver(z.GlobalResponse("g1", DeltaResponse(type_, "1", entries), made.now))


def offered(made: Zone, id_: str) -> None:
    receive(made, "Config", ("kuma-cluster-id", {"config": id_}))


def left(made: Zone) -> str | None:
    return next((e.reason for e in made.effects if isinstance(e, z.LeaveGlobal)), None)


def test_zone_says_whose_keys_it_holds() -> None:
    for held, said in (("old", "old"), (None, None)):
        made = holding(held)
        nodes = [e.request.node for e in made.effects if isinstance(e, z.ToGlobalRequest)]
        assert {node.metadata.get(HELD) for node in nodes if node is not None} == {said}


def test_zone_leaves_a_global_of_other_keys_before_it_takes_anything() -> None:
    made = holding("old")
    before = made.state
    offered(made, "new")
    reason = left(made)
    assert reason is not None
    assert "--accept-global new" in reason
    assert made.state.link.session is None
    receive(made, "ZoneIngress")  # It was on its way: what other zones offer would be withdrawn.
    receive(made, "Mesh")
    assert made.state.policy == before.policy
    assert cluster_id(made.state.policy) == "old"


def test_zone_takes_its_own_global_the_one_it_was_told_of_and_its_first() -> None:
    for made in (holding("new"), holding("old", accepts="new"), holding(None)):
        offered(made, "new")
        assert left(made) is None
        assert made.state.link.session == "g1"


def asked_for(made: Zone) -> list[str]:
    found = [e.request for e in made.effects if isinstance(e, z.ToGlobalRequest)]
    return [request.type_url for request in found if request.subscribe and not request.nonce]


def test_zone_with_keys_asks_for_the_rest_once_the_global_has_said_whose_it_is() -> None:
    """A Kuma global sends what it is asked for in any order, and an empty one sends emptiness."""
    made = holding("old")
    assert asked_for(made) == ["Config", "RevisionManifest"]
    receive(made, "RevisionManifest")
    receive(made, "Config")  # A Kuma global that starts may not have its id yet.
    assert asked_for(made) == []
    assert made.state.policy == from_resources((MESH, config("old")))
    offered(made, "old")
    assert asked_for(made) == [t for t in GLOBAL_TO_ZONE_TYPES if t != "Config"]
    receive(made, "Mesh", ("other", {}))
    assert {r.key.name for r in made.state.policy.of("Mesh")} == {"other"}


def told(made: Zone) -> set[str]:
    return {e.response.type_url for e in made.effects if isinstance(e, z.ToGlobalResponse)}


def test_zone_tells_a_global_nothing_before_it_knows_whose_it_is() -> None:
    """A stranger may have a zone of this name, and would take what is not told for gone."""
    made = holding("old")
    made.connect(dataplane("web-1", "web"))
    for type_ in ("Dataplane", "ZoneIngress"):
        made.deliver(z.GlobalRequest("g1", DeltaRequest(type_, subscribe=("*",))))
        assert told(made) == set()
    made.connect(dataplane("web-2", "web"))
    made.deliver(z.Tick(made.now + 60))
    assert told(made) == set()
    receive(made, "Config")
    assert told(made) == set()
    offered(made, "old")
    assert told(made) == {"Dataplane", "ZoneIngress"}


def test_zone_that_knew_its_global_asks_anew_in_each_session() -> None:
    """A Kuma global that lost its store in between: its keys came before its id, and all proxies
    were cut off.
    """
    made = holding("old")
    receive(made, "RevisionManifest")
    offered(made, "old")
    receive(made, "Mesh", ("default", {}))
    receive(made, "ZoneIngress", ("ingress-of-west", {"zone": "west"}))
    before = made.state
    made.deliver(z.GlobalDisconnected("g1", "it restarts"))
    made.deliver(z.GlobalConnected("g1"))
    assert asked_for(made) == ["Config", "RevisionManifest"]
    for type_ in ("RevisionManifest", "Mesh", "Secret", "ZoneIngress"):
        receive(made, type_)
    offered(made, "new")
    assert left(made) is not None
    assert (made.state.policy, made.state.relayed) == (before.policy, before.relayed)


async def test_status_says_while_a_global_has_not_said_whose_it_is(tmp_path: Path) -> None:
    with contextlib.closing(Store(tmp_path / "store.sqlite")) as store:
        plane = ZoneControlPlane(holding("old").state.settings, store, getLogger("test"))
        plane.state = holding("old").state
        assert "whose keys" in str(ZoneAnswers(plane).status(proxies=False)["global_error"])
        made = holding("old")
        offered(made, "old")
        plane.state = made.state
        assert ZoneAnswers(plane).status(proxies=False)["global_error"] == ""
        await plane.outbox.close()


def test_zone_without_keys_asks_for_all_at_once() -> None:
    assert asked_for(holding(None)) == [*GLOBAL_TO_ZONE_TYPES, "RevisionManifest"]
