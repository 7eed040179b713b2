"""A damaged KDS frame is taken, refused by name, or ends its stream; it never is a fault of ours.

The frames are the golden ones of every type that travels, with bytes changed, cut and doubled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from reconciler.kds.types import KUMA_RESOURCE
from reconciler.model.kinds import GLOBAL_TO_ZONE, ZONE_TO_GLOBAL
from reconciler.steps import global_state as g
from reconciler.steps.link_state import NOTHING
from reconciler.steps.zone_staging import staged_type
from tests.support.global_plane import Global
from tests.support.golden_frames import TO_GLOBAL, TO_ZONE, frames
from xds.discovery import DeltaResponse, RemoteProtocolError
from xds.wire import entry_body, resource

if TYPE_CHECKING:
    from xds.resource import XdsResource


@st.composite
def damaged(draw: st.DrawFn, direction: str) -> tuple[str, XdsResource]:
    """A type and one of its frames, damaged inside the envelope."""
    types = GLOBAL_TO_ZONE if direction == TO_ZONE else ZONE_TO_GLOBAL
    type_ = draw(st.sampled_from(types))
    frame = draw(st.sampled_from(frames(type_, direction)))
    _, body = entry_body(frame.entry)
    made = bytearray(body)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(made) - 1)))
        match draw(st.sampled_from(("set", "cut", "double"))):
            case "set" if made:
                made[at] = draw(st.integers(0, 255))
            case "cut":
                del made[at : at + draw(st.integers(1, 20))]
            case _:
                made[at:at] = made[: draw(st.integers(1, 40))]
    return type_, resource(KUMA_RESOURCE, frame.name, bytes(made))


@given(damaged(TO_GLOBAL))
def test_a_damaged_frame_from_a_zone_is_no_fault_of_the_global(
    sent: tuple[str, XdsResource],
) -> None:
    type_, frame = sent
    plane = Global()
    plane.publish()
    plane.connect("east")
    effects = plane.deliver(g.ZonePublished("east-up", DeltaResponse(type_, "1", (frame,), ())))
    assert any(isinstance(e, g.SendRequest | g.CloseSession) for e in effects)


@given(damaged(TO_ZONE))
def test_a_damaged_frame_from_the_global_is_no_fault_of_the_zone(
    sent: tuple[str, XdsResource],
) -> None:
    type_, frame = sent
    try:
        staged, errors = staged_type(NOTHING, DeltaResponse(type_, "1", (frame,), ()))
    except RemoteProtocolError:
        return
    assert len(staged) + len(errors) == 1
