"""What a state has found of a type is handed on by `apply`, and is always what a search finds."""

from __future__ import annotations

import random

from reconciler.collection import CHUNK, differences
from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import EMPTY, MeshState, ResourceDiff, apply, diff, from_resources

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


def test_of_says_after_large_and_small_changes_what_a_search_says() -> None:
    """More than one chunk; changes of a few copy chunks, changes of many begin anew."""
    draw = random.Random(11)
    known = [ResourceKey("Secret", "a", f"n{i:04}") for i in range(4 * CHUNK)]
    state = from_resources(resource(key, "0") for key in draw.sample(known, 3 * CHUNK))
    for turn in range(200):
        many = draw.choice((1, 2, 5, 2 * CHUNK))
        put = tuple(resource(k, str(turn)) for k in draw.sample(known, draw.randint(0, many)))
        named = {r.key for r in put}
        drop = tuple(k for k in draw.sample(known, draw.randint(0, many)) if k not in named)
        before, after = state, apply(state, ResourceDiff(put, drop))
        searched = from_resources(after.by_key.values())
        assert after.of("Secret", "a") == searched.of("Secret", "a")
        had, has = before.collection("Secret", "a"), after.collection("Secret", "a")
        assert all(len(chunk) <= 2 * CHUNK for chunk in has.chunks)
        changed = {r.key: (old, r) for old, r in differences(had, has) if r is not None}
        dropped = {old.key for old, new in differences(had, has) if new is None and old}
        assert dropped == {key for key in drop if key in before.by_key}
        assert changed == {r.key: (before.get(r.key), r) for r in put if before.get(r.key) != r}
        state = after


def test_differences_look_only_where_chunks_differ() -> None:
    known = [ResourceKey("Secret", "a", f"n{i:05}") for i in range(100 * CHUNK)]
    state = from_resources(resource(key, "0") for key in known)
    before = state.collection("Secret", "a")
    after = apply(state, ResourceDiff(put=(resource(known[7], "1"),))).collection("Secret", "a")
    assert len(set(map(id, before.chunks)) - set(map(id, after.chunks))) == 1
    assert [new for _, new in differences(before, after)] == [resource(known[7], "1")]


def test_an_equal_resource_is_no_difference_though_it_is_another_object() -> None:
    key, other = ResourceKey("Secret", "a", "n"), ResourceKey("Secret", "a", "m")
    old = from_resources([resource(key, "x"), resource(other, "x")])
    new = from_resources([resource(key, "x"), resource(other, "y")])
    assert diff(old, new) == ResourceDiff((resource(other, "y"),), ())
