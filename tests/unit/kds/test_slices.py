"""Slices cost what changed, not what there is: a commit is framed once for all zones, and what one
zone says touches one mapping of each of the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler import decode
from reconciler.decode import mesh_resource
from reconciler.kds import slice as slices
from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.kds.sizes import size_of
from reconciler.kds.slice import relay
from reconciler.kds.types import MANIFEST
from reconciler.kds.zone_node import ALL_FEATURES, FEATURES, MANIFESTS
from reconciler.model.resource import ZONE, Labels, ResourceKey
from reconciler.state import EMPTY, apply, diff, from_resources
from reconciler.steps import global_state as g
from tests.support.global_plane import MESH, Global, ingress_entry, revision, timeout
from tests.support.slices import sliced
from xds.delta_sender import KDS_DIALECT, DeltaSender
from xds.discovery import DeltaRequest

if TYPE_CHECKING:
    import pytest

    from reconciler.model.resource import MeshResource
    from reconciler.state import MeshState


def policies(count: int) -> list[MeshResource]:
    first = timeout(1000)
    return [replace(first, key=replace(first.key, name=f"t{i}")) for i in range(count)]


def following(state: MeshState, *changed: MeshResource) -> MeshState:
    """As the loader makes it: what did not change stays the same object."""
    wanted = from_resources(
        (*(r for r in state.all() if r.key not in {c.key for c in changed}), *changed)
    )
    return apply(state, diff(state, wanted))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is encoded from now on, manifests aside."""
    encoded: list[str] = []
    encode = encode_carried

    def counting(carried: CarriedResource) -> object:
        encoded.append(carried.name)
        return encode(carried)

    monkeypatch.setattr(slices, "encode_carried", counting)
    return encoded


def test_zones_share_every_frame_and_every_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = counted(monkeypatch)
    plane = Global()
    plane.publish(*policies(50))
    for number in range(20):
        plane.connect(f"zone-{number}")
    assert len(encoded) == 51  # The mesh and its policies, once.
    shown = [s.shown.types for s in plane.state.sessions.values() if s.shown]
    assert len({id(types["MeshTimeout"]) for types in shown}) == 1
    encoded.clear()
    state = plane.state.published
    assert state is not None
    changed = replace(timeout(2000), key=replace(timeout(1).key, name="t7"))
    owned = following(state.resources, changed)
    plane.deliver(g.TipMoved("c2"))
    plane.deliver(g.Loaded(replace(revision("c2"), resources=owned)))
    assert len(encoded) == 1
    assert all(len(plane.acknowledge(f"zone-{n}")) == 2 for n in range(20))


def test_zones_with_other_features_share_among_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = Global()
    plane.publish(*policies(3))
    plane.connect("new")
    encoded = counted(monkeypatch)
    said = [name for name in FEATURES if name != "hash-suffix"]
    for zone in ("old-1", "old-2"):
        plane.connect(zone, features=said)
    assert sorted(encoded) == ["default", "t0", "t1", "t2"]
    assert plane.held("old-1", "MeshTimeout") == {"t0.default", "t1.default", "t2.default"}
    assert plane.held("new", "MeshTimeout").isdisjoint(plane.held("old-1", "MeshTimeout"))


def test_zones_whose_names_are_the_same_share_frames_whatever_else_they_lack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plane = Global()
    plane.publish(*policies(3))
    plane.connect("new")
    encoded = counted(monkeypatch)
    plane.connect("older", features=[name for name in FEATURES if name != "hg-mz-selector"])
    assert not encoded
    assert len(plane.state.framed) == 2
    assert plane.held("older", "MeshTimeout") == plane.held("new", "MeshTimeout")


def test_zone_of_kuma_is_told_of_the_enabled_ca_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses a Mesh with several as a whole, and would miss every change of it from then on."""
    encoded = counted(monkeypatch)
    backends = [{"name": f"ca-{i}", "type": "builtin"} for i in (1, 2)]
    spec = {"mtls": {"enabledBackend": "ca-2", "backends": backends}}
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), spec)
    plane = Global()
    plane.publish()
    plane.connect("kz", features=[f for f in FEATURES if f != MANIFESTS])
    plane.connect("east")
    encoded.clear()
    resources = from_resources((mesh, *policies(5)))
    plane.deliver(g.TipMoved("c2"))
    plane.deliver(g.Loaded(replace(revision("c2"), resources=resources)))
    assert backends_told(plane, "kz") == ["ca-2"]
    assert backends_told(plane, "east") == ["ca-1", "ca-2"]
    assert len(encoded) == 7, "of all that goes to both alike there is one frame"


def backends_told(plane: Global, zone: str) -> list[str]:
    shown = plane.state.sessions[f"{zone}-down"].shown
    assert shown is not None
    (frame,) = shown.types["Mesh"].values()
    spec: Any = decode_entry("Mesh", frame.entry).data
    return [backend["name"] for backend in spec["mtls"]["backends"]]


def test_features_that_no_zone_has_any_more_are_forgotten() -> None:
    plane = Global()
    plane.publish()
    plane.connect("old", features=[])
    plane.connect("new")
    assert len(plane.state.framed) == 2
    plane.deliver(g.ZoneClosed("old-down", 1.0))
    plane.publish(timeout(1), commit="c2")
    assert list(plane.state.framed) == [ALL_FEATURES]


def test_what_is_shown_of_a_change_equals_what_is_shown_of_everything_anew() -> None:
    """Whatever was there before: added, changed, hidden and gone."""
    first = from_resources((MESH, *policies(4)))
    hidden = replace(policies(4)[2], labels=Labels.of({"kuma.io/kds-sync": "disabled"}))
    changed = replace(timeout(2000), key=replace(timeout(1).key, name="t1"))
    kept = [r for r in first.all() if r.key.name not in ("t0", "t1", "t2")]
    second = from_resources((*kept, hidden, changed, timeout(3)))
    one = sliced(None, "east", "c1", first, EMPTY)
    step = sliced(one, "east", "c2", second, EMPTY)
    anew = sliced(None, "east", "c2", second, EMPTY)
    assert step.types == anew.types
    assert step.framed.digests == anew.framed.digests
    assert dict(step.framed.sizes) == {**dict.fromkeys(step.framed.sizes, 0), **anew.framed.sizes}
    for type_, found in step.types.items():
        if type_ != MANIFEST:
            assert step.size(type_) == size_of(found.values())


def test_sender_that_sent_the_mapping_before_looks_at_the_change_alone() -> None:
    owned = from_resources((MESH, *policies(3)))
    one = sliced(None, "east", "c1", owned, EMPTY)
    changed = replace(timeout(2000), key=replace(timeout(1).key, name="t1"))
    two = sliced(one, "east", "c2", following(owned, changed), EMPTY)
    step = two.steps["MeshTimeout"]
    assert step.before is one.types["MeshTimeout"]
    assert [*step.put] == [n for n in step.after if step.after[n] is not step.before.get(n)]
    sender = DeltaSender(type_url="MeshTimeout", dialect=KDS_DIALECT)
    sender, _ = sender.on_request(DeltaRequest("MeshTimeout"))
    sender, first = sender.offer(step.before, "1")
    assert first is not None
    sender, _ = sender.on_request(DeltaRequest("MeshTimeout", nonce="1"))

    class Unread(dict[str, object]):
        def items(self) -> object:  # type: ignore[override]
            raise AssertionError("all of it is looked at")

    unread = replace(step, after=Unread(step.after))  # type: ignore[arg-type]
    _, near = sender.offer(unread.after, "2", step=unread)
    _, far = sender.offer(step.after, "2")
    assert near == far
    assert near is not None
    assert len(near.resources) == 1


def test_step_from_elsewhere_is_not_believed() -> None:
    owned = from_resources((MESH, *policies(3)))
    one = sliced(None, "east", "c1", owned, EMPTY)
    two = sliced(one, "east", "c2", from_resources((MESH, *policies(2))), EMPTY)
    sender = DeltaSender(type_url="MeshTimeout", dialect=KDS_DIALECT)
    sender, _ = sender.on_request(DeltaRequest("MeshTimeout"))
    _, sent = sender.offer(two.types["MeshTimeout"], "1", step=two.steps["MeshTimeout"])
    assert sent is not None
    assert len(sent.resources) == 2


def test_zone_that_speaks_changes_one_mapping_of_the_others() -> None:
    plane = Global()
    plane.publish(timeout(1))
    for zone in ("east", "west"):
        plane.connect(zone)
    before = plane.state.sessions["west-down"].shown
    plane.zone_sends("east", ingress_entry("in"))
    after = plane.state.sessions["west-down"].shown
    assert before is not None
    assert after is not None
    assert [t for t in after.types if after.types[t] is not before.types[t]] == ["ZoneIngress"]
    (resource,) = plane.state.zones["east"].relayed.by_key.values()
    assert resource.labels.get(ZONE) == "east"
    assert relay(after, [(resource, resource)]) is after


def test_zone_that_is_switched_off_and_on_again_gives_what_it_gave() -> None:
    plane = Global()
    plane.publish()
    plane.connect("east")
    plane.connect("west")
    plane.zone_sends("east", ingress_entry("in"))
    plane.acknowledge("west")

    def switched(commit: str, *, on: bool) -> list[str]:
        zone = zone_resource("east", on=on)
        plane.deliver(g.TipMoved(commit))
        plane.deliver(g.Loaded(revision(commit, zone)))
        return plane.acknowledge("west")

    assert "ZoneIngress" in switched("c2", on=False)
    assert plane.held("west", "ZoneIngress") == set()
    assert "ZoneIngress" in switched("c3", on=True)
    assert len(plane.held("west", "ZoneIngress")) == 1


def zone_resource(name: str, *, on: bool) -> MeshResource:
    return mesh_resource(ResourceKey("Zone", "", name), Labels(), {"enabled": on})


def test_insights_that_change_all_the_time_fill_no_cache() -> None:
    """Each is another one: of a large mesh 100 kB, every ten seconds."""
    for cache in (slices._kept_insight, slices._kept_frame, decode._spec):
        cache.cache_clear()
    for number in range(200):
        data = {"services": {"web": {"dataplanes": {"total": number + 1}}}}
        insight = mesh_resource(ResourceKey("ServiceInsight", "default", "i"), Labels(), data)
        slices.frame(insight, hashed=True)
        told = {"subscriptions": [{"id": str(number)}]}
        mesh_resource(ResourceKey("DataplaneInsight", "default", "d"), Labels(), told)
    assert slices._kept_insight.cache_info().currsize == slices.INSIGHTS_KEPT
    assert slices._kept_frame.cache_info().currsize == 0
    assert decode._spec.cache_info().currsize == 0


def test_zones_share_the_frame_of_an_insight() -> None:
    data = {"services": {"web": {"dataplanes": {"total": 1}}}}
    made = mesh_resource(ResourceKey("ServiceInsight", "default", "i"), Labels(), data)
    assert slices.frame(made, hashed=True) is slices.frame(made, hashed=True)
