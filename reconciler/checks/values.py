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
    """A number that is there. What is none in name alone, Kuma takes."""
    number = part.number
    endless = part.text.endswith("Infinity")
    if endless or (number is not None and not 0 <= number <= PERCENT_MAX):
        yield part.fault("VAL005", f"{part.name} is {part.value}; it must be between 0 and 100")
    elif part.text == "NaN":
        yield part.warning("VAL005", f"{part.name} is no number; write one between 0 and 100")
