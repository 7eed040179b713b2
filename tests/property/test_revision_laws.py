"""Laws of a revision that a zone takes into force: what differs is found by the names that were
told since, and is what a look at everything finds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.types import MANIFEST
from reconciler.steps import zone_global
from reconciler.steps import zone_state as z
from reconciler.steps.zone_step import step
from tests.support.step_fleet import StepFleet, mesh_with_mtls, timeout, zone_of_steps
from tests.support.zone import START
from tests.support.zone import settings as zone_settings
from xds.discovery import DeltaResponse
from xds.wire import delta_response_bytes, delta_response_parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.state import MeshState, ResourceDiff
    from reconciler.steps.link_state import GlobalLink
    from xds.resource import XdsResource

TYPE = "MeshTimeout"
INGRESS = '{"networking":{"address":"10.0.0.9","port":10001}}'
NAMES = tuple("abcde")
SPECS = st.sampled_from((1, 2, 0))  # milliseconds; 0: it cannot be understood
CHANGES = st.dictionaries(st.sampled_from(NAMES), SPECS, max_size=4)
RESPONSES = st.tuples(st.booleans(), CHANGES, st.sets(st.sampled_from(NAMES), max_size=2))


def entry(type_: str, mesh: str, name: str, data: str) -> XdsResource:
    return encode_carried(CarriedResource(type_, mesh, name, {}, data))


def frame(name: str, milliseconds: int) -> XdsResource:
    conf = f'{{"connectionTimeout":"{milliseconds}ms"}}' if milliseconds else '"nonsense"'
    item = f'{{"targetRef":{{"kind":"Mesh"}},"default":{conf}}}'
    return entry(TYPE, "default", name, f'{{"targetRef":{{"kind":"Mesh"}},"to":[{item}]}}')


def said(
    type_: str, nonce: int, *found: XdsResource, gone: tuple[str, ...] = ()
) -> z.GlobalResponse:
    return z.GlobalResponse("g", DeltaResponse(type_, str(nonce), found, gone), START)


class Compared:
    """Every look at a few is compared with one at everything."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.few = 0
        find = zone_global._few_differing

        def compared(policy: MeshState, link: GlobalLink, type_: str) -> ResourceDiff | None:
            found = find(policy, link, type_)
            if found is not None:
                plain = zone_global._differing(policy, link, type_)
                assert {r.key: r for r in found.put} == {r.key: r for r in plain.put}
                assert sorted(found.drop) == sorted(plain.drop)
                self.few += 1
            return found

        monkeypatch.setattr(zone_global, "_few_differing", compared)


def session(state: z.ZoneState, nonce: int) -> z.ZoneState:
    """With a global that has no manifests: each response is in force at once."""
    mesh = entry("Mesh", "", "default", "{}")
    begins = (z.GlobalConnected("g"), said(MANIFEST, nonce), said("Mesh", nonce, mesh))
    for event in begins:
        state, _ = step(state, event)
    return state


@settings(deadline=None)
@given(st.lists(RESPONSES, min_size=2, max_size=8))
def test_few_that_differ_are_those_of_a_look_at_everything(
    responses: list[tuple[bool, Mapping[str, int], set[str]]],
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        Compared(monkeypatch)
        state, _ = step(z.ZoneState(settings=zone_settings()), z.Restored(START))
        state = session(state, 0)
        for nonce, (anew, changes, gone) in enumerate(responses, 1):
            state = session(state, nonce) if anew else state
            frames = [frame(name, ms) for name, ms in sorted(changes.items())]
            removed = tuple(f"{name}.default" for name in sorted(gone - set(changes)))
            state, _ = step(state, said(TYPE, nonce, *frames, gone=removed))
        link = state.link
        plain = zone_global._differing(state.policy, link, TYPE) if TYPE in link.staged else None
        assert not plain  # Nothing is left to be taken into force.


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
    whole = parted = session(whole, 0)
    for nonce, (anew, changes, gone) in enumerate(responses, 1):
        if anew:
            whole, parted = session(whole, nonce), session(parted, nonce)
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
        assert parted.link.staged == whole.link.staged
        assert parted.link.refused == whole.link.refused
    entries = (entry("ZoneIngress", "", f"west.i{n}", INGRESS) for n in range(3))
    event = said("ZoneIngress", 99, *entries)
    whole, expected = step(whole, event)
    for part in parts_of(event, size):
        parted, effects = step(parted, part)
    assert effects == expected
    assert parted.relayed == whole.relayed


def test_one_policy_of_many_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, compared = zone_of_steps(), Compared(monkeypatch)
    policies = [timeout(1000 + i, name=f"p{i}") for i in range(50)]
    taken: list[str] = []
    plain = zone_global.typed

    def counted(carried: CarriedResource) -> MeshResource:
        taken.append(carried.name)
        return plain(carried)

    monkeypatch.setattr(zone_global, "typed", counted)
    commit(fleet, "c2", policies)
    assert len(taken) == 50  # Each is read once.
    taken.clear()
    monkeypatch.setattr(zone_global, "_differing", None)
    monkeypatch.setattr(zone_global, "_few_differing", _FEW)
    commit(fleet, "c3", [timeout(9000, name="p0"), *policies[2:]])
    assert fleet.state.revision == "c3"
    assert {name.partition("-")[0] for name in taken} == {"p0"}
    assert len(fleet.state.policy.of(TYPE)) == 49
    assert compared.few


_FEW = zone_global._few_differing


def commit(fleet: StepFleet, revision: str, policies: list[MeshResource]) -> None:
    fleet.commit(revision, *mesh_with_mtls(), *policies)
    fleet.run(0.1)
