"""Durations and percentages of legacy kinds, as their messages hold them. Of a duration Kuma asks
only whether it is zero; what Envoy will not take is a warning here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.part import PERCENT_MAX

if TYPE_CHECKING:
    from reconciler.part import Faults, Part

_SOME = re.compile(r"[1-9]")  # of the digits, whatever the units


def some_time(part: Part) -> Faults:
    """One that is there: not zero."""
    if part and not _SOME.search(part.text):
        yield part.fault("VAL004", f"{part.name} is zero; write a time such as 10s")
    yield from no_negative(part)


def no_negative(part: Part) -> Faults:
    if part.text.startswith("-") and _SOME.search(part.text):
        text = f"Kuma takes the negative {part.name}, and Envoy does not; write a time such as 10s"
        yield part.warning("VAL004", text)


def percent(part: Part) -> Faults:
    """A number that is there."""
    number = part.number
    if number is not None and (number < 0 or number > PERCENT_MAX):
        yield part.fault("VAL005", f"{part.name} is {number}; it must be between 0 and 100")
