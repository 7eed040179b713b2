"""When resources came and changed: from Git, from zones, and in a zone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.kds.codec import encode_carried
from reconciler.kds.proxy_insight import Subscription
from reconciler.kds.upward import zone_carried
from reconciler.model.resource import ResourceKey
from reconciler.problems import Position
from reconciler.rest.catalogue import Times
from reconciler.rest.times import at_global
from reconciler.rest.zone_times import Arrivals, at_zone
from reconciler.steps import global_state as g
from tests.support.global_plane import Global, revision
from tests.support.rest import catalogue, insight_of, made
from tests.support.zone import START, dataplane, zone
from xds.discovery import DeltaResponse

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

FILES = {"mesh.yaml": (10.0, 20.0), "t.yaml": (30.0, 40.0)}
PROXY = {"networking": {"address": "10.0.0.1", "inbound": [{"port": 80, "tags": {"a": "b"}}]}}


def files(path: str) -> tuple[float, float] | None:
    return FILES.get(path, (5.0, 5.0) if path == "" else None)


def at(shown: MeshResource, *others: MeshResource, state: g.GlobalState | None = None) -> Times:
    places = {
        ResourceKey("Mesh", "", "default"): Position("mesh.yaml", 1, 1),
        ResourceKey("MeshTimeout", "default", "t"): Position("t.yaml", 1, 1),
    }
    state = state or g.GlobalState(g.GlobalSettings(instance="g", version="1"))
    mesh = made("Mesh", "default")
    held = catalogue(mesh, shown, *others, places=places, times_of=partial(at_global, state, files))
    return held.times(shown)


def test_what_git_holds_is_as_old_as_its_file() -> None:
    assert at(made("MeshTimeout", "t")) == Times(30.0, 40.0)


def test_what_is_computed_of_a_mesh_is_as_old_as_the_mesh() -> None:
    assert at(made("MeshTimeout", "mesh-timeout-all-default")) == Times(10.0, 20.0)
    assert at(made("MeshInsight", "default")) == Times(10.0, 20.0)


def test_what_is_computed_of_no_mesh_is_as_old_as_the_repository() -> None:
    assert at(made("HostnameGenerator", "synced")) == Times(5.0, 5.0)


def test_an_insight_says_it_itself() -> None:
    web = made("Dataplane", "web", PROXY)
    assert at(insight_of(web, Subscription("cp", START, START + 3))) == Times(START, START + 3)


def test_a_zone_that_no_file_declares_is_there_since_its_first_stream() -> None:
    stream = {"subscriptions": [{"connectTime": "2027-01-15T08:00:00Z"}]}
    assert at(made("Zone", "east"), made("ZoneInsight", "east", stream)) == Times(START, START)


def told(made_: Global, name: str, port: int, *, now: float, number: int) -> None:
    inbound = {"port": port, "tags": {"kuma.io/service": name}}
    document = made(
        "Dataplane", name, {"networking": {"address": "10.0.0.1", "inbound": [inbound]}}
    )
    entry = encode_carried(zone_carried("east", document))
    response = DeltaResponse("Dataplane", str(number), (entry,))
    made_.deliver(g.ZonePublished("east-up", response, now))


def of_east(made_: Global, *streams: Subscription) -> Times:
    (proxy,) = made_.state.zones["east"].owned.of("Dataplane")
    insight = (insight_of(proxy, *streams),) if streams else ()
    return at(proxy, *insight, state=made_.state)


def connected() -> Global:
    made_ = Global()
    made_.deliver(g.TipMoved("c1"))
    made_.deliver(g.Loaded(revision("c1")))
    made_.connect("east")
    return made_


def test_a_proxy_is_there_since_its_first_stream_and_changes_when_its_zone_says_so() -> None:
    east = connected()
    told(east, "web", 80, now=100.0, number=1)
    assert of_east(east) == Times(100.0, 100.0)
    assert of_east(east, Subscription("cp", 60.0)) == Times(60.0, 60.0)
    told(east, "web", 80, now=110.0, number=2)  # the same again
    assert of_east(east) == Times(100.0, 100.0)
    told(east, "web", 81, now=120.0, number=3)
    assert of_east(east) == Times(100.0, 120.0)
    assert of_east(east, Subscription("cp", 60.0)) == Times(60.0, 120.0)


def test_what_is_gone_leaves_no_times() -> None:
    east = connected()
    told(east, "web", 80, now=100.0, number=1)
    (held,) = east.state.zones["east"].owned.of("Dataplane")
    assert east.state.zones["east"].times.get(held.key) == (100.0, 100.0)
    gone = DeltaResponse("Dataplane", "2", (), (f"{held.key.name}.default",))
    east.deliver(g.ZonePublished("east-up", gone, 130.0))
    assert east.state.zones["east"].owned.of("Dataplane") == ()
    assert len(east.state.zones["east"].times) == 0


def test_in_a_zone_things_are_there_since_they_arrived() -> None:
    arrivals, now = Arrivals(), zone()
    policy, other = made("MeshTimeout", "t"), made("MeshTimeout", "other")
    arrivals.note((policy, other), (), 50.0)
    arrivals.note((policy,), (other.key,), 70.0)
    of = partial(at_zone, now.state, arrivals, catalogue())
    assert of(policy) == Times(50.0, 70.0)
    assert of(other) == Times()


def test_in_a_zone_a_proxy_is_there_since_its_first_stream() -> None:
    now = zone()
    now.connect(dataplane("web", "web"))
    (web,) = now.state.local.of("Dataplane")
    arrivals = Arrivals()
    of = partial(at_zone, now.state, arrivals, catalogue())
    assert of(web) == Times(START, START)
    arrivals.note((web,), (), START + 5)
    assert of(web) == Times(START, START)
    arrivals.note((web,), (), START + 9)
    assert of(web) == Times(START, START + 9)


def test_a_zone_itself_is_there_since_it_is_connected() -> None:
    now = zone()
    state: Any = now.state
    east = made("Zone", "east")
    assert at_zone(state, Arrivals(), catalogue(), east) == Times()
    state = replace(state, link=replace(state.link, since=START))
    assert at_zone(state, Arrivals(), catalogue(), east) == Times(START, START)
