"""Laws of a revision that a zone takes into force: what differs is found by the chunks of what is
staged, and is what a look at everything finds; in many turns it comes to what it does in one.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.collection import differences
from reconciler.context import mesh_context
from reconciler.decode import mesh_resource
from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.types import MANIFEST
from reconciler.model.resource import ORIGIN, Labels, MeshResource, ResourceKey
from reconciler.state import from_resources
from reconciler.steps import zone_build, zone_staging, zone_taking
from reconciler.steps import zone_state as z
from reconciler.steps.zone_report import is_newcomer
from reconciler.steps.zone_step import step
from reconciler.view import sidecar_view
from tests.support.step_fleet import (
    StepFleet,
    document,
    mesh_with_mtls,
    permission,
    timeout,
    zone_of_steps,
)
from tests.support.zone import START, policy
from tests.support.zone import settings as zone_settings
from xds.discovery import DeltaResponse
from xds.wire import delta_response_bytes, delta_response_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.collection import Pair
    from reconciler.state import MeshState
    from reconciler.steps.link_state import GlobalLink, Staged, StagedType
    from reconciler.steps.proxy_state import Proxy
    from xds.resource import XdsResource

TYPE = "MeshTimeout"
INGRESS = '{"networking":{"address":"10.0.0.9","port":10001}}'
NAMES = tuple("abcde")
SPECS = st.sampled_from((1, 2, 2, 0))  # milliseconds; 0: it cannot be understood
CHANGES = st.dictionaries(st.sampled_from(NAMES), SPECS, max_size=4)
RESPONSES = st.tuples(st.booleans(), CHANGES, st.sets(st.sampled_from(NAMES), max_size=2))


def entry(type_: str, mesh: str, name: str, data: str) -> XdsResource:
    return encode_carried(CarriedResource(type_, mesh, name, {ORIGIN: "global"}, data))


def frame(name: str, milliseconds: int) -> XdsResource:
    kind = "Mesh" if milliseconds else "Nonsense"
    conf = f'{{"connectionTimeout":"{milliseconds}ms"}}'
    item = f'{{"targetRef":{{"kind":"{kind}"}},"default":{conf}}}'
    return entry(TYPE, "default", name, f'{{"targetRef":{{"kind":"Mesh"}},"to":[{item}]}}')


def said(
    type_: str, nonce: int, *found: XdsResource, gone: tuple[str, ...] = ()
) -> z.GlobalResponse:
    return z.GlobalResponse("g", DeltaResponse(type_, str(nonce), found, gone), START)


def expected(before: MeshState, link: GlobalLink) -> dict[ResourceKey, MeshResource]:
    """By a look at everything: what is staged, and what a refused one would have replaced."""
    refused: Mapping[str, str] = link.refused.get(TYPE) or {}
    kept = {r.key: r for r in before.of(TYPE) if f"{r.key.name}.{r.key.mesh}" in refused}
    return {**kept, **{e.resource.key: e.resource for e in link.staged.get(TYPE, ())}}


def session(state: z.ZoneState, nonce: int) -> tuple[z.ZoneState, z.Effects]:
    """With a global that has no manifests: each response is in force at once."""
    mesh = entry("Mesh", "", "default", "{}")
    begins = (z.GlobalConnected("g"), said(MANIFEST, nonce), said("Mesh", nonce, mesh))
    effects: list[z.Effect] = []
    for event in begins:
        state, more = step(state, event)
        effects += more
    return state, tuple(effects)


@settings(deadline=None)
@given(st.lists(RESPONSES, min_size=2, max_size=8), st.integers(1, 8))
def test_what_is_in_force_is_what_a_look_at_everything_finds(
    responses: list[tuple[bool, Mapping[str, int], set[str]]], restart: int
) -> None:
    state, _ = step(z.ZoneState(settings=zone_settings()), z.Restored(START))
    state, _ = session(state, 0)
    disk: dict[ResourceKey, MeshResource] = {}
    for nonce, (anew, changes, gone) in enumerate(responses, 1):
        before, restarts = state.policy, nonce == restart
        if restarts:
            restored = z.Restored(START, policy=tuple(state.policy.by_key.values()))
            state, _ = step(z.ZoneState(settings=zone_settings()), restored)
        if anew or restarts:
            state, effects = session(state, nonce)
            assert state.policy.of(TYPE) == before.of(TYPE)  # It is not told yet.
        frames = [frame(name, ms) for name, ms in sorted(changes.items())]
        removed = tuple(f"{name}.default" for name in sorted(gone - set(changes)))
        state, effects = step(state, said(TYPE, nonce, *frames, gone=removed))
        written(disk, effects)
        found = {r.key: r for r in state.policy.of(TYPE)}
        assert found == expected(before, state.link) == disk
        assert {e.resource.key: e.resource for e in state.link.applied[TYPE]} == found
        assert {r.key: r for r in state.merged.of(TYPE)} == found
        if anew or restarts or nonce == 1:
            good = [f"{name}.default" for name, ms in sorted(changes.items()) if ms]
            assert [e.name for e in state.link.staged[TYPE]] == good


def test_a_resource_under_another_name_on_the_wire_stays() -> None:
    state, _ = step(z.ZoneState(settings=zone_settings()), z.Restored(START))
    state, _ = session(state, 0)
    state, _ = step(state, said(TYPE, 1, frame("a", 1)))
    state, _ = session(state, 2)
    state, _ = step(state, said(TYPE, 2, replace(frame("a", 1), name="odd")))
    assert [r.key.name for r in state.policy.of(TYPE)] == ["a"]


def written(disk: dict[ResourceKey, MeshResource], effects: z.Effects) -> None:
    for effect in effects:
        if isinstance(effect, z.Persist) and effect.kind == "policy":
            disk.update({r.key: r for r in effect.put if r.key.type == TYPE})
            for key in effect.drop:
                disk.pop(key, None)


def parts_of(event: z.GlobalResponse, size: int) -> list[z.GlobalResponse]:
    data = delta_response_bytes(event.response)
    return [
        z.GlobalResponse(event.session, part, event.now, more)
        for part, more in delta_response_parts(data, size)
    ]


@settings(deadline=None)
@given(st.lists(RESPONSES, min_size=1, max_size=6), st.integers(1, 3))
def test_a_response_in_parts_is_the_response(
    responses: list[tuple[bool, Mapping[str, int], set[str]]], size: int
) -> None:
    whole, _ = step(z.ZoneState(settings=zone_settings()), z.Restored(START))
    whole, _ = session(whole, 0)
    parted = whole
    for nonce, (anew, changes, gone) in enumerate(responses, 1):
        if anew:
            (whole, _), (parted, _) = session(whole, nonce), session(parted, nonce)
        frames = [frame(name, ms) for name, ms in sorted(changes.items())]
        removed = tuple(f"{name}.default" for name in sorted(gone - set(changes)))
        event = said(TYPE, nonce, *frames, gone=removed)
        whole, expected = step(whole, event)
        found: list[z.Effect] = []
        for part in parts_of(event, size):
            parted, effects = step(parted, part)
            found += effects
            assert not part.more or not effects
        assert tuple(found) == expected
        assert parted.policy == whole.policy
        assert tuple(parted.link.staged[TYPE]) == tuple(whole.link.staged[TYPE])
        assert parted.link.refused == whole.link.refused
    entries = (entry("ZoneIngress", "", f"west.i{n}", INGRESS) for n in range(3))
    event = said("ZoneIngress", 99, *entries)
    whole, expected = step(whole, event)
    for part in parts_of(event, size):
        parted, effects = step(parted, part)
    assert effects == expected
    assert parted.relayed == whole.relayed


def test_one_policy_of_many_is_found_by_its_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = zone_of_steps()
    policies = [timeout(1000 + i, name=f"p{i:03}") for i in range(500)]
    read: list[str] = []
    plain, framed = zone_staging.typed, zone_staging._frames

    def counted(carried: CarriedResource) -> MeshResource:
        read.append(carried.name)
        return plain(carried)

    compared: list[object] = []

    def comparing(before: StagedType, after: StagedType) -> tuple[Pair[Staged], ...]:
        found = differences(before, after)
        compared.extend(found)
        return found

    frames: list[object] = []

    def framing(chunk: tuple[Staged, ...]) -> bytes:
        frames.append(chunk)
        return framed(chunk)

    monkeypatch.setattr(zone_staging, "typed", counted)
    monkeypatch.setattr(zone_staging, "_frames", framing)
    monkeypatch.setattr("reconciler.steps.zone_taking.differences", comparing)
    commit(fleet, "c2", policies)
    assert len(read) == 500  # Each is read once.
    read.clear()
    compared.clear()
    frames.clear()
    commit(fleet, "c3", [timeout(9000, name="p000"), *policies[2:]])
    assert fleet.state.revision == "c3"
    assert {name.partition("-")[0] for name in read} == {"p000"}
    assert (len(compared), len(frames)) == (2, 1)
    assert len(fleet.state.policy.of(TYPE)) == 499


SERVICES = 3


def some_policy(draw: random.Random, name: str) -> MeshResource:
    service = {"kind": "MeshService", "name": f"s{draw.randrange(SERVICES)}"}
    target, everything = draw.choice((service, {"kind": "Mesh"})), {"kind": "Mesh"}
    if draw.random() < 0.3:
        action = {"action": draw.choice(("Allow", "Deny"))}
        spec = {"targetRef": target, "from": [{"targetRef": everything, "default": action}]}
        return policy("MeshTrafficPermission", name, spec)
    conf = {"connectionTimeout": f"{draw.randint(1, 3)}s"}
    to = draw.choice((service, everything))
    spec = {"targetRef": target, "to": [{"targetRef": to, "default": conf}]}
    return policy("MeshTimeout", name, spec)


class Told:
    """A zone whose revisions come in parts while proxies come and go."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.fleet = zone_of_steps()
        self.policies: dict[str, MeshResource] = {}
        self.revisions = {"c1": self.in_force()}
        self.there: set[int] = set()

    def in_force(self) -> frozenset[str]:
        return frozenset(r.body for t in TYPES for r in self.fleet.state.policy.of(t))

    def commit(self, number: int) -> None:
        for name in self.draw.sample(POLICIES, self.draw.randint(0, len(POLICIES))):
            self.policies.pop(name, None)
            if self.draw.random() < 0.7:
                self.policies[name] = some_policy(self.draw, name)
        found = (timeout(1000), permission("Allow"), *self.policies.values())
        self.revisions[f"r{number}"] = frozenset(r.body for r in found)
        self.fleet.commit(f"r{number}", *mesh_with_mtls(), *found)

    def comes_or_goes(self, number: int) -> None:
        found = document(number, SERVICES, SERVICES)
        if number in self.there:
            self.there.discard(number)
            self.fleet.leave(f"stream-{found['name']}", by_peer=self.draw.random() < 0.8)
        else:
            self.there.add(number)
            self.fleet.arrive(found)

    def turn(self) -> None:
        self.fleet.turn()
        state = self.fleet.state
        assert self.in_force() == self.revisions[state.revision or ""]

    def settle(self) -> set[str]:
        """Whose view was compared."""
        for _ in range(3):
            self.fleet.run(1.0)
        state = self.fleet.state
        assert state.taking is None
        local = (r for r in state.local.all() if not is_newcomer(state, r.key))
        everything = from_resources((*state.policy.all(), *state.relayed.all(), *local))
        assert state.merged == everything
        absent = frozenset(state.proxies.absent)
        plain = mesh_context(everything, "default", "east", absent, {})
        there = [p for p in state.proxies.values() if p.stream is not None and p.view is not None]
        for proxy in there:
            resource = state.local.by_key[proxy.key]
            assert proxy.view == sidecar_view(plain, resource, proxy.traits).view
        return {proxy.key.name for proxy in there}


def of_nobody(name: str, mesh: str = "default") -> MeshResource:
    to = {"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": "9s"}}
    spec = {"targetRef": {"kind": "MeshService", "name": "none"}, "to": [to]}
    return mesh_resource(ResourceKey(TYPE, mesh, name), Labels(), spec)


def test_contexts_follow_what_is_kept_of_them() -> None:
    """Made before anybody is served, and not anew for another address of a host."""
    mesh = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
    state = z.ZoneState(settings=zone_settings())
    state, _ = step(state, z.Restored(START, policy=(mesh, of_nobody("a"))))
    made = state.contexts["default"]
    state, _ = step(state, z.Resolved({"one.example": "10.0.0.1"}, START))
    state, after = zone_build.context_of(state, "default")
    assert after is not None
    assert after is not made
    assert after.index["MeshTimeout"] is made.index["MeshTimeout"]
    assert after.differing is None


@pytest.mark.parametrize("goes", [True, False])
def test_after_a_revision_in_many_turns_everybody_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, goes: bool
) -> None:
    """Another context may have come into use on the way: what it was made for may be undone before
    the end, and then the contexts on the way have never seen it.
    """
    monkeypatch.setattr(zone_taking, "CHANGES", 1)
    fleet = zone_of_steps()
    caller, called = document(0, 2, 2), document(1, 2, 2)
    fleet.arrive_all((caller, called), 1.0)
    fleet.sleep(60.0)
    other = (
        mesh_resource(ResourceKey("Mesh", "", "other"), Labels(), {}),
        *(of_nobody(f"z{n}", "other") for n in range(9)),
    )
    found = (timeout(1000), permission("Allow"), of_nobody("a"), *other)
    fleet.commit("r2", *mesh_with_mtls(), *found)
    while (taking := fleet.state.taking) is None or "default" not in taking.ways:
        fleet.turn()
    used = fleet.state.contexts.get("default")
    if goes:
        fleet.leave(f"stream-{called['name']}")
    looked_at: set[str] = set()
    build = zone_build._build

    def looking(state: z.ZoneState, proxy: Proxy, now: float) -> z.Outcome:
        looked_at.add(proxy.node_id)
        return build(state, proxy, now)

    monkeypatch.setattr(zone_build, "_build", looking)
    while fleet.state.taking is not None:
        assert fleet.state.revision == "c1"
        looked_at.clear()
        fleet.turn()
    after = fleet.state.contexts.get("default")
    assert fleet.state.revision == "r2"
    assert used is not None
    assert after is not None
    assert after.cached.callers is used.cached.callers  # It follows.
    there = {p.node_id for p in fleet.state.proxies.values() if p.stream is not None}
    assert len(there) == 2 - goes
    assert looked_at == there


TYPES, POLICIES = (TYPE, "MeshTrafficPermission"), tuple(f"p{n}" for n in range(8))


@settings(deadline=None)
@example(1825, 1)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_a_revision_in_many_turns_is_one_in_one_turn(seed: int, size: int) -> None:
    """Whatever comes meanwhile: other revisions, proxies that come and go. Never is a part of one
    in force, and in the end every proxy has the view that a look at everything gives.
    """
    draw = random.Random(seed)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(zone_taking, "CHANGES", size)
        monkeypatch.setattr(zone_taking, "LOOKS", 2 * size)
        zone = Told(draw)
        for number in range(12):
            match draw.randint(0, 2):
                case 0:
                    zone.commit(number)
                case _:
                    zone.comes_or_goes(draw.randrange(6))
            for _ in range(draw.choice((0, 1, 3, 8))):
                zone.turn()
        assert zone.settle() == {str(document(n, SERVICES, SERVICES)["name"]) for n in zone.there}


def commit(fleet: StepFleet, revision: str, policies: list[MeshResource]) -> None:
    fleet.commit(revision, *mesh_with_mtls(), *policies)
    fleet.run(0.1)
