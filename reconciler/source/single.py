"""A file that holds exactly one document, such as the Dataplane of `reconciler dataplane`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from reconciler.source.yaml import documents

if TYPE_CHECKING:
    from pathlib import Path


class SourceError(Exception):
    """The text names the place and the cure."""


def single_document(path: Path) -> Mapping[str, object]:
    """Raises SourceError, or OSError."""
    found, faults = documents(path.read_bytes())
    if faults:
        line, column = faults[0].place
        raise SourceError(f"{path}:{line}:{column}: {faults[0].code} {faults[0].message}")
    if len(found) != 1 or not isinstance(found[0].data, Mapping):
        raise SourceError(f"{path}: must hold one document, an object; it holds {len(found)}")
    return cast("Mapping[str, object]", found[0].data)
