"""What a zone says upward: only what changed is made anew, and the rest stays the very object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.decode import mesh_resource
from reconciler.kds.codec import (
    CarriedResource,
    Head,
    _parsed_json,
    encode_spec,
    head_of,
    with_spec,
)
from reconciler.kds.manifest import ConvergenceReport, encode_report
from reconciler.kds.proxy_insight import ProxyInsight, Subscription
from reconciler.kds.types import REPORT
from reconciler.kds.upward import (
    NO_INSIGHT,
    NOTHING_SENT,
    Publication,
    Told,
    publication,
    with_zone,
)
from reconciler.model.resource import NAMESPACE, Labels, MeshResource, ResourceKey
from reconciler.registration import from_document
from reconciler.state import MeshState, ResourceDiff, apply, from_resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.resource import XdsResource
    from xds.snapshot import Resources


def dataplane(name: str, port: int = 8080, labels: Labels = Labels()) -> MeshResource:
    inbound = {"port": port, "tags": {"kuma.io/service": "backend"}}
    spec = {"networking": {"address": "10.0.0.1", "inbound": [inbound]}}
    return mesh_resource(ResourceKey("Dataplane", "default", name), labels, spec)


A, B = dataplane("a"), dataplane("b")
STATE = from_resources((A, B))


def since(at: float) -> ProxyInsight:
    return ProxyInsight((Subscription("east-1", at),))


SINCE = {A.key: since(1.0), B.key: since(2.0)}


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(type, wire name without its hash) of everything that is encoded."""
    found: list[tuple[str, str]] = []

    def counted(carried: CarriedResource, spec: bytes) -> XdsResource:
        found.append((carried.type, carried.name[0]))
        return encode_spec(carried, spec)

    def counted_with(head: Head, spec: bytes) -> XdsResource:
        found.append((head.type, head.name[0]))
        return with_spec(head, spec)

    monkeypatch.setattr("reconciler.kds.upward.encode_spec", counted)
    monkeypatch.setattr("reconciler.kds.upward.with_spec", counted_with)
    return found


def told(
    local: MeshState,
    previous: Publication = Publication(),  # noqa: B008 - frozen
    sent: Mapping[str, Resources] = NOTHING_SENT,
    **came: float,
) -> Publication:
    """What differs from what was told before, found the plain way."""
    insights = SINCE | {ResourceKey("Dataplane", "default", n): since(at) for n, at in came.items()}
    before = {key: kept[:2] for (type_, key), kept in previous.frames.items() if type_ == key.type}
    now = {r.key: (r, insights.get(r.key, NO_INSIGHT)) for r in local.all()}
    changed: dict[ResourceKey, Told] = dict.fromkeys(before.keys() - now.keys())
    changed |= {key: made for key, made in now.items() if before.get(key) != made}
    return publication("east", changed, previous, sent)


def test_a_report_alone_encodes_no_proxy(encoded: list[tuple[str, str]]) -> None:
    first = told(STATE)
    encoded.clear()
    second = with_zone(first, "east", ConvergenceReport("c2", 2, 1, 1, 0, ()), None)
    assert encoded == []
    assert second.types.keys() - first.types.keys() == {REPORT}
    assert second.types["Dataplane"] is first.types["Dataplane"]
    same = with_zone(second, "east", ConvergenceReport("c2", 2, 1, 1, 0, ()), None)
    assert same.types[REPORT] is second.types[REPORT]


def test_a_report_is_framed_when_it_says_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    framed: list[int] = []

    def counted(zone: str, report: ConvergenceReport) -> XdsResource:
        framed.append(report.acked)
        return encode_report(zone, report)

    monkeypatch.setattr("reconciler.kds.upward.encode_report", counted)
    made = told(STATE)
    for acked in (1, 1, 2, 2):
        report = ConvergenceReport("c2", 2, acked, 2 - acked, 0, ())
        made = with_zone(told(STATE, made, b=acked + 7.0), "east", report, None)
        (said,) = made.types[REPORT].values()
        assert said == encode_report("east", report)
    assert framed == [1, 2]


def test_one_proxy_that_changed_is_encoded_alone(encoded: list[tuple[str, str]]) -> None:
    first = told(STATE)
    encoded.clear()
    second = told(apply(STATE, ResourceDiff(put=(dataplane("b", port=9090),))), first)
    assert encoded == [("Dataplane", "b")]
    assert second.types["DataplaneInsight"] is first.types["DataplaneInsight"]


def test_a_stream_that_came_changes_its_insight_alone(encoded: list[tuple[str, str]]) -> None:
    first = told(STATE)
    encoded.clear()
    second = told(STATE, first, b=3.0)
    assert encoded == [("DataplaneInsight", "b")]
    assert second.types["Dataplane"] is first.types["Dataplane"]


def test_an_insight_that_changes_again_encodes_its_spec_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heads: list[str] = []

    def counted(carried: CarriedResource) -> Head:
        heads.append(carried.name[0])
        return head_of(carried)

    monkeypatch.setattr("reconciler.kds.upward.head_of", counted)
    made = told(STATE)
    for at in (3.0, 4.0):
        made = told(STATE, made, b=at)
    assert sorted(heads) == ["a", "b"]
    assert made.types == told(STATE, b=4.0).types
    named = ResourceDiff(put=(dataplane("b", labels=Labels(((NAMESPACE, "apps"),))),))
    made = told(apply(STATE, named), made, b=5.0)
    assert made.types == told(apply(STATE, named), b=5.0).types


def test_what_is_gone_is_told_and_forgotten() -> None:
    second = told(apply(STATE, ResourceDiff(drop=(B.key,))), told(STATE))
    assert len(second.types["Dataplane"]) == len(second.types["DataplaneInsight"]) == 1
    assert {key for _, key in second.frames} == {A.key}


def test_step_by_step_says_what_is_said_at_once() -> None:
    """In any order of small changes."""
    made = told(STATE)
    for state in (from_resources((A,)), STATE, from_resources((dataplane("b", 1),)), STATE):
        made = told(state, made)
    assert made.types == told(STATE).types


def test_nothing_is_said_before_all_of_it_can_be() -> None:
    """A proxy that is left out would be one that is gone."""
    first = publication("east", {A.key: (A, since(1.0))}, Publication(), whole=False)
    assert (first.begun, first.types) == (False, {})
    second = publication("east", {B.key: (B, since(2.0))}, first)
    assert second.begun
    assert second.types == told(STATE).types


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.booleans()), max_size=12))
def test_a_step_from_what_was_sent_is_the_whole_difference(
    changes: list[tuple[str, int, bool]],
) -> None:
    """However much was made since: a proxy of port 0 is gone; True sends what there is."""
    local, made = STATE, told(STATE)
    sent = dict(made.types)
    for name, port, sends in changes:
        key = ResourceKey("Dataplane", "default", name)
        change = ResourceDiff(put=(dataplane(name, port),)) if port else ResourceDiff(drop=(key,))
        local = apply(local, change)
        made = told(local, made, sent, c=1.0)
        for type_, step in made.steps.items():
            if step.before is sent[type_]:
                assert {**step.before, **step.put}.keys() - step.removed == step.after.keys()
                assert step.after is made.types[type_]
                differs = {n for n, r in step.after.items() if step.before.get(n) is not r}
                assert step.put.keys() == differs
                assert step.removed == step.before.keys() - step.after.keys()
        if sends:
            sent = dict(made.types)


def test_what_is_told_of_one_is_found_without_a_look_at_the_others() -> None:
    """Sent at once, or later with what was made meanwhile."""
    first = told(STATE)
    second = told(apply(STATE, ResourceDiff(drop=(B.key,))), first, first.types)
    third = told(STATE, second, first.types)
    step = third.steps["Dataplane"]
    assert step.before is first.types["Dataplane"]
    assert step.after is third.types["Dataplane"]
    assert (len(step.put), step.removed) == (1, frozenset())  # made anew, and equal


def test_a_proxy_that_registers_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check that its Dataplane can be told to the global is how it is told."""
    parsed: list[str] = []

    def counted(type_: str, *given: Any) -> Any:
        parsed.append(type_)
        return _parsed_json(type_, *given)

    monkeypatch.setattr("reconciler.kds.codec._parsed_json", counted)
    document = {
        "type": "Dataplane",
        "mesh": "default",
        "name": "encoded-once",
        "networking": {
            "address": "10.0.0.1",
            "inbound": [{"port": 81, "tags": {"kuma.io/service": "encoded-once"}}],
        },
    }
    resource = from_document(document, "east")
    assert isinstance(resource, MeshResource)
    told(from_resources((resource,)))
    assert parsed == ["Dataplane"]
