"""Laws of `xds.copying.replace`: it is `dataclasses.replace`, and what runs for each message of a
proxy copies by it.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.steps.zone_state import ProxyRequest
from reconciler.steps.zone_step import step
from tests.support.step_fleet import step_fleet
from xds.copying import replace
from xds.discovery import DeltaRequest
from xds.resource import CLUSTER

if TYPE_CHECKING:
    from types import FrameType


@dataclass(frozen=True, slots=True)
class Checked:
    low: int = 0
    high: int = 9
    seen: list[int] = field(default_factory=list, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low > high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Named(Checked):
    """Fields of its base and its own; refers to itself by `super()`."""

    name: str = ""
    number: int | None = None

    def __post_init__(self) -> None:
        super(Named, self).__post_init__()
        object.__setattr__(self, "name", self.name.strip())


@dataclass(frozen=True, slots=True, eq=False)
class Alone:
    one: int = 1


@cache
def _values() -> tuple[Any, ...]:
    """What the zone's step copies, of a fleet as it is."""
    state = step_fleet(3, 2).state
    proxies = tuple(state.proxies.values())
    streams = tuple(p.ads for p in proxies)
    return (
        *(state, dataclasses.replace(state, revision="another", unpublished=True), state.link),
        *(*proxies, *streams, *(p.insight for p in proxies)),
        *state.link.senders.values(),
        *state.link.receivers.values(),
    )


@given(st.data())
def test_it_makes_what_the_plain_one_makes(data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(_values()))
    others = [v for v in _values() if type(v) is type(value)]
    other = data.draw(st.sampled_from(others))
    names = [f.name for f in dataclasses.fields(value)]
    chosen = data.draw(st.lists(st.sampled_from(names), unique=True))
    changes = {name: getattr(other, name) for name in chosen}
    found, plain = replace(value, **changes), dataclasses.replace(value, **changes)
    assert type(found) is type(plain)
    assert all(getattr(found, name) is getattr(plain, name) for name in names)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(found, names[0], None)


@given(st.integers(), st.integers(), st.text())
def test_it_checks_as_the_class_does(low: int, high: int, name: str) -> None:
    value = Named(name="before", number=3)
    if low > high:
        with pytest.raises(ValueError, match="low > high"):
            replace(value, low=low, high=high)
        return
    found = replace(value, low=low, high=high, name=name)
    assert found == dataclasses.replace(value, low=low, high=high, name=name)
    assert hash(replace(Alone(), one=2)) != hash(replace(Alone(), one=2))  # By identity.
    assert repr(found) == repr(dataclasses.replace(value, low=low, high=high, name=name))


def test_what_it_is_not_made_for_is_an_error() -> None:
    @dataclass(frozen=True, slots=True)
    class Partly:
        one: int = 1
        two: int = field(default=2, init=False)

    @dataclass(frozen=True)
    class Open:
        one: int = 1

    @dataclass(frozen=True, slots=True, weakref_slot=True)
    class Watched:
        one: int = 1

    for value in (Partly(), Open(), Watched()):
        with pytest.raises(TypeError, match="no frozen dataclass"):
            replace(value, one=3)
    with pytest.raises(TypeError, match="no field three"):
        replace(Alone(), three=3)  # type: ignore[call-arg]


def test_an_acknowledgement_is_taken_without_a_plain_copy() -> None:
    made = step_fleet(2, 2)
    stream = next(iter(made.envoys))
    plain: list[str] = []

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is dataclasses.replace.__code__:
            plain.append(str(frame.f_back))

    event = ProxyRequest(stream, DeltaRequest(CLUSTER, subscribe=("s0",)), made.now)
    sys.setprofile(look)
    try:
        step(made.state, event)
    finally:
        sys.setprofile(None)
    assert plain == []
