"""Durations as policies write them: Go's form (`300ms`, `1h30m`, `0`), or protobuf's (`0.25s`)."""

from __future__ import annotations

import re
from datetime import timedelta

_UNIT_US = {
    "ns": 0.001,
    "us": 1.0,
    "\u00b5s": 1.0,  # micro sign
    "\u03bcs": 1.0,  # Greek mu
    "ms": 1_000.0,
    "s": 1_000_000.0,
    "m": 60_000_000.0,
    "h": 3_600_000_000.0,
}
_PART = re.compile("([0-9]+(?:\\.[0-9]*)?|\\.[0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
NANOSECOND = 0.001  # in microseconds: the least that Kuma knows
LENGTH_MAX = 200  # of the text; without an end, finding parts takes the square of its length
_LIMIT = timedelta(seconds=9_223_372_036)  # int64 nanoseconds: all that Kuma's zones can read


def parse_duration(text: str) -> timedelta | None:
    """None when the text is not a duration. Rounded to a microsecond, but never to nothing: 0 often
    means that there is no limit.
    """
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return timedelta()
    parts = _PART.findall(rest) if len(rest) <= LENGTH_MAX else []
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        return None
    try:
        total = sum(float(number) * _UNIT_US[unit] for number, unit in parts)
        span = timedelta(microseconds=max(total, 1.0) if total >= NANOSECOND else total)
    except OverflowError:
        return None
    return sign * span if span <= _LIMIT else None
