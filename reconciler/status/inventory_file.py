"""The `proxies/<mesh>/<service>.yaml` of a status ref, read back. Pure.

Whoever may push to the ref could have written it: what is read is checked as if a zone had sent it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.status.document import ProxyClass, ProxyEntry, StatusUnreadable, parsed
from reconciler.status.shape import checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FOLDER = "proxies/"
COUNT_MAX = 100_000  # proxies of a class
_ROW = ("count", "name", "address")

Row = ProxyClass | ProxyEntry


def inventory_of(files: Mapping[str, bytes]) -> tuple[Row, ...]:
    """Every class or proxy of a zone once: one of several services stands in each one's file.

    Raises StatusUnreadable.
    """
    found: dict[Row, None] = {}
    for path in sorted(files):
        if path.startswith(FOLDER):
            found.update(dict.fromkeys(_rows(files[path], path)))
    return tuple(found)


def _rows(body: bytes, path: str) -> Iterator[Row]:
    for document in parsed(body, path):
        if not isinstance(document, dict) or not isinstance(document.get("mesh"), str):
            raise StatusUnreadable(f"{path}: the mesh is missing")
        for name in ("classes", "proxies"):
            listed = document.get(name, [])
            if not isinstance(listed, list):
                raise StatusUnreadable(f"{path}: {name} must be a list")
            yield from _listed(document["mesh"], listed, path)


def _listed(mesh: str, listed: Iterable[object], path: str) -> Iterator[Row]:
    for row in listed:
        if not isinstance(row, dict):
            raise StatusUnreadable(f"{path}: each row must be an object")
        try:
            shape = checked({key: value for key, value in row.items() if key not in _ROW})
        except ValueError as error:
            raise StatusUnreadable(f"{path}: {error}") from error
        if "name" in row:
            name, address = row["name"], row.get("address")
            if not isinstance(name, str) or not isinstance(address, str):
                raise StatusUnreadable(f"{path}: a proxy has a name and an address")
            yield ProxyEntry(mesh, name, address, shape)
            continue
        count = row.get("count")
        if type(count) is not int or not 0 < count <= COUNT_MAX:
            raise StatusUnreadable(f"{path}: a class has a count, at most {COUNT_MAX}")
        yield ProxyClass(mesh, shape, count)
