"""For programs: JSON, and the annotations of GitHub Actions. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.formats.checked import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.formats.checked import Checked


def as_json(checked: Checked) -> str:
    """Stable. Paths are those inside the policy folder, wherever it is checked from."""
    rows = [
        {
            "path": p.at.path, "line": p.at.line, "column": p.at.column, "field": p.at.field,
            "severity": p.severity, "code": p.code, "message": p.message,
        }
        for p in checked.problems
    ]  # fmt: skip
    return json.dumps({"resources": checked.resources, "problems": rows}, indent=2)


def as_annotations(checked: Checked) -> Iterator[str]:
    """Workflow commands. What people wrote must not end one, nor begin another."""
    for problem in checked.problems:
        at = problem.at
        path = _escaped(checked.path_of(at)).replace(":", "%3A").replace(",", "%2C")
        place = f"file={path},line={max(at.line, 1)},col={max(at.column, 1)}"
        yield f"::{problem.severity} {place}::{_escaped(sentence(problem))}"


def _escaped(text: str) -> str:
    """Line ends are none any more: both are `shown`."""
    return text.replace("%", "%25")
