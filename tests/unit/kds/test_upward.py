"""What a zone says upward: only what changed is made anew, and the rest stays the very object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.kds.codec import CarriedResource, _parsed_json, encode_spec
from reconciler.kds.manifest import ConvergenceReport
from reconciler.kds.proxy_insight import ProxyInsight, Subscription
from reconciler.kds.types import REPORT
from reconciler.kds.upward import Publication, publication
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.registration import from_document
from reconciler.state import MeshState, ResourceDiff, apply, from_resources

if TYPE_CHECKING:
    from xds.resource import XdsResource

REPORT_1 = ConvergenceReport("c1", 2, 2, 0, 0, ())
REPORT_2 = ConvergenceReport("c2", 2, 1, 1, 0, ())


def dataplane(name: str, port: int = 8080) -> MeshResource:
    inbound = {"port": port, "tags": {"kuma.io/service": "backend"}}
    spec = {"networking": {"address": "10.0.0.1", "inbound": [inbound]}}
    return mesh_resource(ResourceKey("Dataplane", "default", name), Labels(), spec)


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

    monkeypatch.setattr("reconciler.kds.upward.encode_spec", counted)
    return found


def told(local: MeshState, previous: Publication = Publication(), **came: float) -> Publication:  # noqa: B008 - frozen
    insights = SINCE | {ResourceKey("Dataplane", "default", n): since(at) for n, at in came.items()}
    return publication("east", local, insights, REPORT_1, previous)


def test_a_report_alone_encodes_no_proxy(encoded: list[tuple[str, str]]) -> None:
    first = told(STATE)
    encoded.clear()
    second = publication("east", STATE, SINCE, REPORT_2, first)
    assert encoded == []
    assert second.types[REPORT] != first.types[REPORT]
    assert second.types["Dataplane"] is first.types["Dataplane"]


def test_one_proxy_that_changed_is_encoded_alone(encoded: list[tuple[str, str]]) -> None:
    first = told(STATE)
    encoded.clear()
    second = told(apply(STATE, ResourceDiff(put=(dataplane("b", port=9090),))), first)
    assert encoded == [("Dataplane", "b"), ("DataplaneInsight", "b")]
    assert second.types["DataplaneInsight"] is first.types["DataplaneInsight"]


def test_a_stream_that_came_changes_its_insight_alone(encoded: list[tuple[str, str]]) -> None:
    first = told(STATE)
    encoded.clear()
    second = told(STATE, first, b=3.0)
    assert encoded == [("DataplaneInsight", "b")]
    assert second.types["Dataplane"] is first.types["Dataplane"]


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
