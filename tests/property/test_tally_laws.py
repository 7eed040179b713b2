"""Counts that are kept are those of counting all, whatever came, went, changed, or was away."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpds import HashTrieSet

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.offers import advertised, available_services, offers_of
from reconciler.state import MeshState, ResourceDiff, apply
from reconciler.status.announcement import StatusMode, ZoneStatus
from reconciler.status.document import Inventory, StatusInput
from reconciler.steps.inventory import Listed, kinds
from reconciler.steps.tally import Tally
from reconciler.steps.zone_state import StatusWanted
from tests.support.zone import INGRESS, dataplane, zone

if TYPE_CHECKING:
    from collections.abc import Iterable

ZONE = "east"
MESHES = {
    "default": {},
    "other": {},
    "exclusive": {"meshServices": {"mode": "Exclusive"}},
}
NAMES = ("a", "b", "c", "d")


def proxy(mesh: str, name: str, inbounds: Iterable[tuple[int, str, bool]]) -> MeshResource:
    body = {
        "networking": {
            "address": "10.0.0.1",
            "inbound": [
                {
                    "port": port,
                    "tags": {"kuma.io/service": service},
                    "state": "Ready" if ready else "NotReady",
                }
                for port, service, ready in inbounds
            ],
        }
    }
    return mesh_resource(ResourceKey("Dataplane", mesh, name), Labels(), body)


INBOUND = st.tuples(st.sampled_from((80, 90)), st.sampled_from(("web", "api")), st.booleans())
WHERE = st.tuples(st.sampled_from(sorted(MESHES)), st.sampled_from(NAMES))
PUT = st.builds(
    lambda where, inbounds: proxy(where[0], where[1], inbounds),
    WHERE,
    st.lists(INBOUND, max_size=3),
)
DROP = WHERE.map(lambda where: ResourceKey("Dataplane", *where))
AWAY = st.frozensets(DROP, max_size=4)
TURN = st.tuples(st.lists(PUT, max_size=4), st.lists(DROP, max_size=2), AWAY)


def meshes() -> MeshState:
    found = tuple(
        mesh_resource(ResourceKey("Mesh", "", name), Labels(), body)
        for name, body in MESHES.items()
    )
    return apply(MeshState(), ResourceDiff(put=found))


def changed(state: MeshState, put: list[MeshResource], drop: list[ResourceKey]) -> MeshState:
    state = apply(state, ResourceDiff(put=tuple({r.key: r for r in put}.values())))
    return apply(state, ResourceDiff(drop=tuple(sorted(set(drop)))))


@given(st.lists(TURN, max_size=8))
def test_what_a_zone_offers_and_writes_is_as_counted_anew(
    turns: list[tuple[list[MeshResource], list[ResourceKey], frozenset[ResourceKey]]],
) -> None:
    state = meshes()
    offered: Tally[tuple[str, tuple[tuple[str, str], ...]]] = Tally()
    listed = {inventory: Listed() for inventory in Inventory}
    absent: HashTrieSet[ResourceKey] = HashTrieSet()
    for put, drop, away in turns:
        state = changed(state, put, drop)
        absent = absent if set(absent) == away else HashTrieSet(away)  # as a zone keeps it
        offered = offered.followed(state, absent, lambda d: advertised(d, ZONE))
        listed = {how: found.followed(state, absent, how) for how, found in listed.items()}
        assert offers_of(state, offered.counts) == available_services(state, ZONE, away)
        here = [d for d in state.of("Dataplane") if d.key not in away]
        plain = Counter(kind for d in here for kind in kinds(d))
        assert [(c.mesh, c.shape, c.count) for c in listed[Inventory.CLASSES].classes] == [
            (*kind, count) for kind, count in sorted(plain.items())
        ]
        assert [(p.mesh, p.name, p.shape) for p in listed[Inventory.FULL].proxies] == [
            (d.key.mesh, d.display_name, shape) for d in here for _, shape in kinds(d)
        ]
        off = listed[Inventory.CLASSES].followed(state, absent, Inventory.OFF)
        assert (off.classes, off.proxies) == ((), ())


def test_one_that_comes_or_goes_is_looked_at_alone() -> None:
    looked: list[str] = []

    def any_kind(dataplane: MeshResource) -> tuple[str, ...]:
        looked.append(dataplane.key.name)
        return ("any",)

    many = [proxy("default", f"p{n:04}", [(80, "web", True)]) for n in range(1_000)]
    state = changed(meshes(), many, [])
    found: Tally[str] = Tally()
    found = found.followed(state, HashTrieSet(), any_kind)
    assert found.counts["any"] == len(looked) == 1_000
    looked.clear()
    found = found.followed(state, HashTrieSet((many[7].key,)), any_kind)
    assert (looked, found.counts["any"]) == (["p0007"], 999)
    looked.clear()
    state = changed(state, [proxy("default", "new", [(80, "web", True)])], [many[3].key])
    found = found.followed(state, found.absent, any_kind)
    assert (sorted(looked), found.counts["any"]) == (["new", "p0003"], 999)
    assert found.followed(state, found.absent, any_kind) is found


@pytest.mark.parametrize(
    ("mode", "inventory", "shown"),
    [
        (StatusMode.RELAY, Inventory.CLASSES, None),
        (StatusMode.OFF, Inventory.FULL, None),
        (StatusMode.DIRECT, Inventory.OFF, (0, 0)),
        (StatusMode.DIRECT, Inventory.CLASSES, (1, 0)),
        (StatusMode.DIRECT, Inventory.FULL, (0, 2)),
    ],
)
def test_only_a_zone_that_writes_its_ref_says_what_it_writes_there(
    mode: StatusMode, inventory: Inventory, shown: tuple[int, int] | None
) -> None:
    """Two alike proxies are one class."""
    here = zone(status=ZoneStatus(mode, inventory))
    for name in ("web-1", "web-2"):
        here.acknowledge_all(here.connect(dataplane(name, "web")))
    here.tick(1)
    found = [e.status for e in here.effects if isinstance(e, StatusWanted)]
    assert [(len(s.classes), len(s.proxies)) for s in found] == ([] if shown is None else [shown])


@pytest.mark.parametrize("inventory", [Inventory.CLASSES, Inventory.FULL])
def test_push_changes_nothing_of_what_a_zone_writes_but_its_counts(inventory: Inventory) -> None:
    here = zone(status=ZoneStatus(StatusMode.DIRECT, inventory))
    here.connect(INGRESS)
    stream = here.connect(dataplane("web", "web"))

    def status() -> StatusInput:
        here.tick(1)
        (found,) = [e.status for e in here.effects if isinstance(e, StatusWanted)]
        return found

    before = status()
    here.acknowledge_all(stream)
    after = status()
    assert (before.acked, after.acked) == (0, 1)
    assert before.classes is after.classes
    assert before.proxies is after.proxies
    assert [text is after.ingresses[i] for i, text in enumerate(before.ingresses)] == [True]


def test_classes_stay_the_same_where_a_change_is_of_no_class() -> None:
    state = changed(meshes(), [proxy("default", "a", [(80, "web", True)])], [])
    found = Listed().followed(state, HashTrieSet(), Inventory.CLASSES)
    state = changed(state, [proxy("default", "a", [(80, "web", False)])], [])
    again = found.followed(state, HashTrieSet(), Inventory.CLASSES)
    assert again.classed is not found.classed
    assert again.classes is found.classes
