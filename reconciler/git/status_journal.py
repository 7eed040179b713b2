"""What this process is about to move, written down before it is pushed.

A crash, or an answer that never came, leaves a push of which nobody knows whether it happened. With
the old id, the new one and the content's digest on disk, a tip tells: at the old id the same commit
is pushed again, the same id, so that it makes no difference when both arrive; at the new one it had
happened; anywhere else somebody else wrote.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

JOURNAL_FILE = "status-refs.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Intent:
    """A move of a ref from `old` (None: it did not exist) to `new`, a commit of this content on
    top of it, or for a rollover in its place.
    """

    old: str | None
    new: str
    digest: str
    rollover: bool = False


class Journal(Protocol):
    """The last intent of each ref that this process wrote."""

    intents: Mapping[str, Intent]

    def keep(self, intents: Mapping[str, Intent]) -> None:
        """On disk when it returns. Raises OSError."""
        ...


class MemoryJournal:
    """Outlives no process."""

    def __init__(self) -> None:
        self.intents: Mapping[str, Intent] = {}

    def keep(self, intents: Mapping[str, Intent]) -> None:
        self.intents = {**self.intents, **intents}


class FileJournal:
    """One small file, replaced as a whole. One that cannot be read says nothing: the tips do."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.intents: Mapping[str, Intent] = _read(path)

    def keep(self, intents: Mapping[str, Intent]) -> None:
        self.intents = {**self.intents, **intents}
        rows = {ref: asdict(intent) for ref, intent in sorted(self.intents.items())}
        text = json.dumps({"format": FORMAT, "refs": rows}, indent=1)
        new = self.path.with_name(self.path.name + ".new")
        with new.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _read(path: Path) -> dict[str, Intent]:
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        data = json.loads(path.read_bytes())
        if data["format"] == FORMAT:
            return {ref: Intent(**row) for ref, row in data["refs"].items()}
    return {}
