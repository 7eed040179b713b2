"""What a zone sends means the same whether the global takes it at once or in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.model.resource import canonical_json
from reconciler.steps import global_state as g
from tests.support.global_plane import Global, ingress_entry, ingress_name, named_by
from xds.discovery import DeltaResponse
from xds.wire import delta_response_bytes, delta_response_parts, parse_delta_response

if TYPE_CHECKING:
    from xds.resource import XdsResource

NAMES = tuple("abcdef")


def entry(name: str, kind: str) -> XdsResource:
    """Of a ZoneIngress: in order, one that speaks for another zone, one that nobody can use."""
    match kind:
        case "claims":
            return named_by("east", ingress_entry(name, claims="west"))
        case "faulty":
            body = canonical_json({"networking": {"address": "?"}})
            return encode_carried(CarriedResource("ZoneIngress", "", name, {}, body))
        case _:
            return named_by("east", ingress_entry(name, instances=len(kind)))


SENT = st.tuples(
    st.dictionaries(
        st.sampled_from(NAMES), st.sampled_from(("x", "xx", "claims", "faulty")), max_size=6
    ),
    st.frozensets(st.sampled_from(NAMES), max_size=3),
)
ALL = dict.fromkeys(NAMES, "x")


@given(st.lists(SENT, min_size=1, max_size=4), st.integers(1, 4))
@example([(ALL, frozenset()), ({}, frozenset("ab"))], 2)
@example([({"a": "faulty", **ALL, "f": "claims"}, frozenset())], 1)
def test_a_response_in_parts_is_the_response(
    sent: list[tuple[dict[str, str], frozenset[str]]], size: int
) -> None:
    whole, parted = Global(), Global()
    for plane in (whole, parted):
        plane.publish()
        plane.connect("west")
        plane.connect("east")
    for number, (said, gone) in enumerate(sent):
        removed = tuple(f"{ingress_name('east', name)}." for name in sorted(gone - said.keys()))
        entries = tuple(entry(name, kind) for name, kind in said.items())
        data = delta_response_bytes(DeltaResponse("ZoneIngress", str(number), entries, removed))
        told = whole.deliver(g.ZonePublished("east-up", parse_delta_response(data), 1.0))
        answers = []
        for part, more in delta_response_parts(data, size):
            effects = parted.deliver(g.ZonePublished("east-up", part, 1.0, more))
            answers.append([e for e in effects if isinstance(e, g.SendRequest)])
        # Nothing is answered before all of it is taken, and then the same.
        assert not any(answers[:-1])
        assert answers[-1] == [e for e in told if isinstance(e, g.SendRequest)]
        whole.acknowledge("west")
        parted.acknowledge("west")
        assert whole.state.zones == parted.state.zones
        assert whole.held("west", "ZoneIngress") == parted.held("west", "ZoneIngress")


@given(st.integers(0, 30), st.integers(1, 8))
def test_the_parts_of_a_response_put_together_are_all_of_it(count: int, size: int) -> None:
    entries = tuple(entry(f"n{number}", "x") for number in range(count))
    data = delta_response_bytes(DeltaResponse("ZoneIngress", "7", entries, ("gone.",)))
    parts = list(delta_response_parts(data, size))
    whole = parse_delta_response(data)
    assert tuple(r for part, _ in parts for r in part.resources) == whole.resources
    assert [part.removed for part, _ in parts] == [()] * (len(parts) - 1) + [whole.removed]
    assert [more for _, more in parts] == [True] * (len(parts) - 1) + [False]
    assert all(len(part.resources) <= size for part, _ in parts)
