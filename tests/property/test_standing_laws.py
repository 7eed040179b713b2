"""What a commit means is the same whether it is looked at whole or beside the one before it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.defaults import with_defaults, with_warnings
from reconciler.git.trees import EntryKind, Subtree, TreeEntry, changes
from reconciler.kds.codec import canonical_data
from reconciler.kds.slice import Framed, next_framed
from reconciler.kds.zone_node import ALL_FEATURES
from reconciler.load import Blob, LoadMemo, load
from reconciler.model.resource import NAMESPACE, ZONE
from reconciler.problems import has_errors
from reconciler.standing import Standing, as_carried, followed, standing
from reconciler.state import EMPTY, apply, diff, from_resources

if TYPE_CHECKING:
    from collections.abc import Mapping

MESHES = [{"type": "Mesh", "name": name} for name in ("default", "other")]
PLAIN = {"type": "Mesh", "name": "default", "skipCreatingInitialPolicies": ["*"]}
NOWHERE: Mapping[str, str] = {}
EMPTY_ZONE = {ZONE: ""}  # as none to the name on the wire
PLACES = (NOWHERE, NOWHERE, EMPTY_ZONE, {ZONE: "e"}, {NAMESPACE: "e"}, {ZONE: "e", NAMESPACE: "e"})
TAGS = {"type": "Mesh", "name": "default", "meshServices": {"mode": "Disabled"}}


def policy(
    type_: str,
    mesh: str,
    name: str,
    value: int,
    shown: str = "",
    place: Mapping[str, str] = NOWHERE,
) -> dict[str, Any]:
    default: dict[str, Any] = {"idleTimeout": f"{value}s"}
    if type_ == "MeshRetry":
        default = {"tcp": {"maxConnectAttempt": value}}
    spec = {"to": [{"targetRef": {"kind": "Mesh"}, "default": default}]}
    labels = {**place, **({"kuma.io/display-name": shown} if shown else {})}
    return {"type": type_, "mesh": mesh, "name": name, "labels": labels, "spec": spec}


POLICIES = st.builds(
    policy,
    st.sampled_from(("MeshTimeout", "MeshRetry")),
    st.sampled_from(("default", "other")),
    # The last two are names of defaults.
    st.sampled_from(("a", "b", "zz", "mesh-timeout-all-default", "mesh-retry-all-default")),
    st.integers(0, 3),
    st.sampled_from(("", "", "a", "mesh-timeout-all-default")),
    st.sampled_from(PLACES),
)
LEGACY = st.builds(
    lambda name, secret: {
        "type": "ExternalService",
        "mesh": "default",
        "name": name,
        "tags": {"kuma.io/service": name},
        "networking": {
            "address": "db.example:443",
            "tls": {"enabled": True, **({"caCert": {"secret": "ca"}} if secret else {})},
        },
    },
    st.sampled_from(("a", "b")),
    st.booleans(),
)
FAULTY = st.sampled_from(
    ({"type": "MeshTimeot"}, {**policy("MeshRetry", "default", "a", 1), "x": 1}, 7)
)
DOCUMENT = st.one_of(
    POLICIES, POLICIES, POLICIES, LEGACY, FAULTY, st.sampled_from([*MESHES, PLAIN, TAGS])
)
NAMES = ("a.json", "b.json", "c.json", "d/e.json", "d/f.json")
EDITS = st.dictionaries(st.sampled_from(NAMES), st.none() | DOCUMENT, min_size=1, max_size=2)
COMMIT = st.dictionaries(st.sampled_from(NAMES), DOCUMENT, max_size=5)
SETTINGS = st.sampled_from((None, None, {"strict": True}, {"limits": {"treeDepth": 1}}))


def blobs_of(files: Mapping[str, Any], settings: Mapping[str, Any] | None) -> dict[str, Blob]:
    every = {"mesh.json": MESHES[0], **files}
    if settings is not None:
        every["reconciler.yaml"] = settings
    texts = {path: json.dumps(document) for path, document in every.items()}
    return {path: Blob(text, text.encode()) for path, text in texts.items()}


LOSES = policy("MeshTimeout", "default", "zz", 1)
WINS = policy("MeshTimeout", "default", "mesh-timeout-all-default", 2)
SHOWN = policy("MeshTimeout", "default", "b", 1, shown="zz")
FIRST = policy("MeshTimeout", "default", "a", 1)
SAME = policy("MeshTimeout", "default", "b", 2, shown="a")
SAME_NOWHERE = policy("MeshTimeout", "default", "b", 2, "a", EMPTY_ZONE)
IN_ZONE = policy("MeshTimeout", "default", "a", 1, "", {ZONE: "e"})
IN_NAMESPACE = policy("MeshTimeout", "default", "b", 2, "a", {NAMESPACE: "e"})
ELSEWHERE = policy("MeshTimeout", "other", "a", 1)


@given(COMMIT, st.lists(st.tuples(EDITS, SETTINGS), min_size=1, max_size=8))
@example({"a.json": LOSES}, [({"a.json": {**LOSES, "labels": {"a": "b"}}}, None)])
@example({"a.json": LOSES}, [({"b.json": LOSES}, None)])  # twice
@example({}, [({"b.json": LOSES, "c.json": LOSES}, None)])
@example({"a.json": LOSES}, [({"b.json": SHOWN}, None)])  # two of one display name
@example({"a.json": FIRST}, [({"b.json": SAME_NOWHERE}, None)])
@example({"a.json": IN_ZONE}, [({"b.json": IN_NAMESPACE}, None)])
@example({"a.json": LOSES}, [({"b.json": ELSEWHERE}, None)])  # a mesh that is not there
@example({"a.json": LOSES}, [({"b.json": WINS}, None), ({"b.json": None}, None)])
def test_a_commit_beside_the_one_before_says_what_it_says_whole(
    files: dict[str, Any], commits: list[tuple[dict[str, Any], dict[str, Any] | None]]
) -> None:
    memo = LoadMemo()
    last: tuple[dict[str, Blob], Standing] | None = None
    for edits, settings in [({}, None), *commits]:
        files = {path: each for path, each in {**files, **edits}.items() if each is not None}
        blobs = blobs_of(files, settings)
        fresh = with_warnings(load(blobs, LoadMemo()))
        if last is not None:
            before, known = last
            paths = {path for path in (*before, *blobs) if before.get(path) != blobs.get(path)}
            found = followed(known, {path: blobs.get(path) for path in paths}, memo)
            if found is not None:
                after, keys = found
                _equal(after, standing(blobs, fresh, LoadMemo()))
                touched = diff(known.policies, after.policies)
                assert keys >= {r.key for r in touched.put} | set(touched.drop)
                last = blobs, after
                continue
        if not has_errors(fresh.problems):
            last = blobs, standing(blobs, fresh, memo)


def _equal(after: Standing, fresh: Standing) -> None:
    mine, other = after.loaded, fresh.loaded
    assert mine.resources == other.resources
    assert mine.provenance == other.provenance
    assert mine.problems == other.problems
    assert (mine.settings, mine.secrets, mine.needs) == (
        other.settings,
        other.secrets,
        other.needs,
    )
    assert after.policies == fresh.policies
    assert (after.reads, after.shown, after.meshes) == (fresh.reads, fresh.shown, fresh.meshes)
    assert after.defaults == fresh.defaults


@given(st.lists(st.one_of(POLICIES, LEGACY), max_size=5))
def test_a_resource_is_carried_as_if_it_went_through_its_message(documents: list[Any]) -> None:
    """What travels as JSON is not read and written once more for that."""
    blobs = {f"{n}.json": Blob("", json.dumps(d).encode()) for n, d in enumerate(documents)}
    for resource in load(blobs, LoadMemo()).resources:
        data = canonical_data(resource.key.type, json.loads(resource.body))
        assert json.loads(as_carried(resource).body) == data


OLDER = Framed(replace(ALL_FEATURES, optional_target=False, multizone_generators=False))


@given(st.lists(COMMIT, min_size=1, max_size=4))
@example([{"a.json": FIRST, "b.json": SAME}])
@example([{"a.json": FIRST, "b.json": SAME_NOWHERE}])
@example([{"a.json": IN_ZONE, "b.json": IN_NAMESPACE}])
@example([{"a.json": FIRST}, {"b.json": SAME}])  # the name goes over to another
def test_frames_that_follow_a_change_are_those_that_were_looked_for(
    commits: list[dict[str, Any]],
) -> None:
    state, framed = EMPTY, Framed(ALL_FEATURES)
    for files in commits:
        loaded = load(blobs_of(files, None), LoadMemo())
        if any(problem.code == "DOC013" for problem in loaded.problems):
            continue  # Two of one name on the wire: never published.
        wanted = from_resources(with_defaults(map(as_carried, loaded.resources)))
        change = diff(state, wanted)
        before, state = state, apply(state, change)
        looked_for = next_framed(framed, state)
        followed_ = next_framed(framed, state, change)
        assert before is framed.owned
        assert followed_ == looked_for
        assert next_framed(OLDER, state, beside=followed_) == next_framed(OLDER, state)
        assert len(followed_.frames) == sum(map(len, followed_.types.values()))  # none is lost
        framed = followed_


TREE = st.recursive(
    st.sampled_from("abc"),
    lambda inner: st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
).filter(lambda found: isinstance(found, dict))


def tree_of(files: Mapping[str, Any], prefix: str = "") -> Subtree:
    leaves = tuple(
        TreeEntry(f"{prefix}{name}", 0o100644, oid, EntryKind.FILE)
        for name, oid in files.items()
        if isinstance(oid, str)
    )
    children = {
        name: tree_of(inner, f"{prefix}{name}/")
        for name, inner in files.items()
        if isinstance(inner, dict)
    }
    entries = (*leaves, *(entry for child in children.values() for entry in child.entries))
    return Subtree(json.dumps(files, sort_keys=True), entries, leaves, children, 0)


@given(TREE, TREE)
def test_the_changes_of_a_tree_lead_from_one_to_the_other(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old, new = tree_of(before), tree_of(after)
    found = list(changes(old, new))
    held = {entry.path: entry for entry in old.entries}
    for was, now in found:
        assert was != now
        if was is not None:
            assert held.pop(was.path) == was
    held.update({now.path: now for _, now in found if now is not None})
    assert held == {entry.path: entry for entry in new.entries}
