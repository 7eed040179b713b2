"""What the check of a legacy document lets pass, its message can hold; no document is a fault of
ours. The documents are the golden ones with parts replaced.
"""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.kds.codec import CarriedResource, canonical_data, encode_carried
from reconciler.legacy_fields import read_legacy
from reconciler.model.kinds import KINDS
from reconciler.model.resource import canonical_json
from tests.support.golden_frames import documents, spec_of

LEGACY = sorted(k.name for k in KINDS.values() if k.legacy and k.down and k.name != "Mesh")
NAMES = st.sampled_from(["conf", "http", "tags", "interval", "value", "match", "a"])
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**66), 2**66),
        st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["", "1s", "1h30m", "9999999999s", "-0.5s", "5", "1e5", "GET", "c2VjcmV0"]),
        st.text(max_size=5),
    ),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    type_ = draw(st.sampled_from(LEGACY))
    spec = copy.deepcopy(spec_of(draw(st.sampled_from(documents(type_)))))
    for _ in range(draw(st.integers(1, 3))):
        holder: Any = spec
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(holder[key], (dict, list)) and draw(st.integers(0, 3)):
                holder = holder[key]
                continue
            holder[key] = draw(VALUES)
            break
    return type_, spec


@given(changed())
def test_what_has_no_fault_fits_its_message(found: tuple[str, dict[str, Any]]) -> None:
    type_, spec = found
    data, faults = read_legacy(type_, spec)
    carried = canonical_data(type_, data)  # also what is left of a faulty one
    if faults:
        return
    body = canonical_json(carried)
    encode_carried(CarriedResource(type_, "default", "x", {}, body))
    again, _ = read_legacy(type_, carried)
    assert canonical_json(canonical_data(type_, again)) == body
