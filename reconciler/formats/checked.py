"""What every form is made from. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.problems import Severity

if TYPE_CHECKING:
    from reconciler.problems import Position, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """`files` are all that were looked at. `folder` stands in front of every path, for those who
    look from somewhere else than the policy folder: "" or "policies/".
    """

    problems: tuple[Problem, ...]
    files: tuple[str, ...]
    resources: int
    folder: str = ""

    def path_of(self, at: Position) -> str:
        """The repository as a whole is its folder."""
        if at.path == ".":
            return shown(self.folder.rstrip("/") or ".")
        return shown(self.folder + at.path)

    def count(self, severity: Severity) -> int:
        return sum(problem.severity is severity for problem in self.problems)


def shown(text: str) -> str:
    """A name may hold what a terminal would obey, or what begins a line."""
    return text if text.isprintable() else ascii(text)[1:-1]


def sentence(problem: Problem) -> str:
    return shown(f"{problem.code} {problem.message}")


def occurrences(problems: tuple[Problem, ...]) -> list[tuple[str, Severity, list[Problem]]]:
    """By code: errors first, the most frequent first."""
    counts = Counter((p.code, p.severity) for p in problems)
    order = sorted(counts, key=lambda k: (k[1] is not Severity.ERROR, -counts[k], k[0]))
    groups: dict[tuple[str, Severity], list[Problem]] = {key: [] for key in order}
    for problem in problems:
        groups[problem.code, problem.severity].append(problem)
    return [(*key, found) for key, found in groups.items()]
