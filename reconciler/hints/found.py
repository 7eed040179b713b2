"""All hints of a repository, with their places. Pure.

A repository with errors gets none: what is wrong there may be what a reference means. Nothing
serves from hints, and no revision waits for them: they are for `validate` and `plan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.explain.positions import Positions, field_text
from reconciler.hints.conflicts import conflicts
from reconciler.hints.naming import names
from reconciler.hints.nothing import idle
from reconciler.hints.references import references
from reconciler.load import printable
from reconciler.problems import Position, Problem, Severity, has_errors

if TYPE_CHECKING:
    from reconciler.hints.hint import Hint
    from reconciler.load import Blob, Loaded
    from reconciler.model.resource import ResourceKey
    from reconciler.problems import Path

FILES_MAX = 200  # that are read again for the places of fields; beyond, a document's place is told


class _Contents(Mapping[str, bytes]):
    def __init__(self, blobs: Mapping[str, Blob]) -> None:
        self._blobs = blobs

    def __getitem__(self, path: str) -> bytes:
        return self._blobs[path].data or b""

    def __iter__(self) -> Iterator[str]:
        return iter(self._blobs)

    def __len__(self) -> int:
        return len(self._blobs)


def with_hints(loaded: Loaded, blobs: Mapping[str, Blob]) -> Loaded:
    """What was loaded from the files, and what is odd about it as a whole."""
    if has_errors(loaded.problems):
        return loaded
    resources = loaded.resources
    found = [*references(resources), *idle(resources), *conflicts(resources), *names(resources)]
    if not found:
        return loaded
    positions = Positions(loaded.provenance, _Contents(blobs), {})
    made = (printable(_problem(hint, loaded, positions)) for hint in found)
    return replace(loaded, problems=tuple(sorted((*loaded.problems, *made))))


def _problem(hint: Hint, loaded: Loaded, positions: Positions) -> Problem:
    what = hint.what
    if hint.other is not None:
        what += f" in {_place(*hint.other, loaded, positions)}"
    at = _place(hint.key, hint.path, loaded, positions)
    return Problem(at, hint.code, f"{what}; {hint.cure}", Severity.WARNING)


def _place(key: ResourceKey, path: Path, loaded: Loaded, positions: Positions) -> Position:
    written = loaded.provenance[key]
    if not positions.has_read(written.path) and positions.files_read >= FILES_MAX:
        return replace(written, field=field_text(key, path))
    return positions.at(key, path) or written
