"""What a bench found: values, one a run, beside the floor from the same run and the goal.

A floor is what the same clients see of a server that computes nothing. `check` is what CI judges: a
counter or a ratio to the floor, never seconds, because nobody knows how busy its machine is.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


TIMES = frozenset(("s", "ms", "us", "cores"))  # words of a unit


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured. `quick` is for CI: fewer runs and smaller fleets, within 2 minutes."""

    quick: bool = False
    runs: int | None = None  # None: as many as the bench itself asks for

    def choose(self, whole: int, quick: int) -> int:
        """Runs of one figure."""
        return self.runs or (quick if self.quick else whole)

    def size(self, whole: int, quick: int) -> int:
        """Of a fleet or a repository."""
        return quick if self.quick else whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`judged` ("p50", "p99" or "max") of `values` is to be at most `goal`; None: no goal.

    `check`: "" when it holds, else what is wrong; evaluated with `--check`.
    """

    key: str
    values: tuple[float, ...]
    unit: str = ""
    floor: tuple[float, ...] = ()
    goal: float | None = None
    judged: str = "p50"
    check: Callable[[Figure], str] | None = None

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else summary(self.values)[self.judged] <= self.goal

    def as_json(self) -> dict[str, object]:
        found: dict[str, object] = {"unit": self.unit, **summary(self.values)}
        if self.floor:
            found["floor"] = summary(self.floor)
        if self.goal is not None:
            found["goal"] = {"judged": self.judged, "at_most": self.goal, "met": self.met}
        return found


def summary(values: Sequence[float]) -> dict[str, float]:
    """p50, p90 and p99 (nearest rank), ends and count."""
    ordered = sorted(values)
    return {
        "min": ordered[0],
        "p50": statistics.median(ordered),
        "p90": ranked(ordered, 0.90),
        "p99": ranked(ordered, 0.99),
        "max": ordered[-1],
        "runs": float(len(ordered)),
    }


def ranked(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least `share` of them do not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """k of cost = c * size**k, by least squares of the logarithms: 1 is linear, 0 is constant."""
    xs, ys = [math.log(s) for s in sizes], [math.log(max(c, 1e-9)) for c in costs]
    return statistics.linear_regression(xs, ys).slope


def at_most(limit: float, judged: str = "max") -> Callable[[Figure], str]:
    """A check of a counter; of no time."""

    def check(figure: Figure) -> str:
        assert TIMES.isdisjoint(figure.unit.split()), f"{figure.key}: CI judges no {figure.unit}"
        found = summary(figure.values)[judged]
        return "" if found <= limit else f"{judged} is {found:g}; at most {limit:g} is right"

    return check


def times_floor(factor: float) -> Callable[[Figure], str]:
    """A check of the ratio of the least: what else a machine does only ever adds to either."""

    def check(figure: Figure) -> str:
        value, floor = min(figure.values), min(figure.floor)
        if value <= factor * floor:
            return ""
        times = value / floor
        said = f"the least, {value:.1f}, is {times:.1f} times its floor {floor:.1f}"
        return f"{said}; at most {factor:g}"

    return check
