"""What a state has found of a type is handed on by `apply`, and is always what a search finds."""

from __future__ import annotations

import random

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import EMPTY, FOLLOWED_MAX, MeshState, ResourceDiff, apply, from_resources

TYPES, MESHES = ("Dataplane", "Mesh", "Secret"), ("", "a", "b")


def resource(key: ResourceKey, data: str) -> MeshResource:
    return mesh_resource(key, Labels.of({"data": data}), {})


def keys(count: int) -> list[ResourceKey]:
    return [
        ResourceKey(type_, mesh if type_ != "Mesh" else "", f"n{i}")
        for type_ in TYPES
        for mesh in MESHES
        for i in range(count)
    ]


def test_of_says_after_any_changes_what_a_search_says() -> None:
    draw = random.Random(7)
    known = keys(4)
    state: MeshState = EMPTY
    for turn in range(300):
        put = tuple(resource(k, str(turn)) for k in draw.sample(known, draw.randint(0, 3)))
        named = {r.key for r in put}
        drop = tuple(k for k in draw.sample(known, draw.randint(0, 3)) if k not in named)
        state = apply(state, ResourceDiff(put, drop))
        searched = from_resources(state.by_key.values())
        for type_ in draw.sample(TYPES, 2):
            assert state.of(type_) == searched.of(type_)
            assert state.of(type_, "a") == searched.of(type_, "a")
            by_key = sorted(r.key for r in state.by_key.values() if r.key.type == type_)
            assert [r.key for r in state.of(type_)] == by_key


def test_change_of_one_type_leaves_what_was_found_of_the_others() -> None:
    state = from_resources(resource(key, "1") for key in keys(2))
    before = {type_: state.of(type_) for type_ in TYPES}
    after = apply(state, ResourceDiff(put=(resource(ResourceKey("Secret", "a", "n0"), "2"),)))
    assert after.of("Dataplane") is before["Dataplane"]
    assert after.of("Secret") != before["Secret"]
    assert state.of("Secret") is before["Secret"]


def test_large_change_is_found_anew() -> None:
    state = from_resources([resource(ResourceKey("Secret", "a", "x"), "1")])
    assert len(state.of("Secret")) == 1
    many = [resource(ResourceKey("Secret", "a", f"n{i:03}"), "1") for i in range(FOLLOWED_MAX + 1)]
    assert state.of("Secret") == apply(state, ResourceDiff()).of("Secret")
    after = apply(state, ResourceDiff(put=tuple(many)))
    assert [r.key.name for r in after.of("Secret")] == [r.key.name for r in many] + ["x"]
