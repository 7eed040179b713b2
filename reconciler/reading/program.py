"""Which program this is, by its content: what one program found, another must not take over.

A stricter check, a changed schema or another version of a library makes another digest, without
anybody having to think of a number. Everything that ships is in it, not only what decides today.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from reconciler.packaged import schemas_folder
from reconciler.reading.keys import digest

_PACKAGES = ("reconciler", "xds")


@lru_cache(maxsize=1)
def program() -> str:
    """Raises OSError where its files cannot be read."""
    return of_files(_files(), (sys.version, *_installed(sys.path)))


def of_files(files: dict[str, Path], versions: tuple[str, ...]) -> str:
    """`files` by a name that does not depend on where the program stands."""
    parts = [part for name in sorted(files) for part in (name.encode(), files[name].read_bytes())]
    head = [digest(*(version.encode() for version in versions))]
    return digest(*head, *parts).hex()


def _installed(folders: list[str]) -> list[str]:
    """Names and versions of all libraries: asking for those that have a say costs more."""
    found: set[str] = set()
    for folder in folders:
        with suppress(OSError):
            found.update(file.name for file in Path(folder).glob("*.dist-info"))
    return sorted(found)


def _files() -> dict[str, Path]:
    top, schemas = Path(__file__).parents[2], schemas_folder()
    found = {
        file.relative_to(top).as_posix(): file
        for package in _PACKAGES
        for file in (top / package).rglob("*.py")
    }
    if not found:
        raise FileNotFoundError("the program has no files of its own")
    return found | {f"{file.relative_to(schemas)}": file for file in schemas.rglob("*.json")}
