"""Counts what is done while a change travels: calls of the functions below, whoever makes them and
under whatever name it has imported them, and what steps ask for.

A call is counted by its code object (`sys.setprofile`), so nothing of the product is replaced.
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from textwrap import dedent
from typing import TYPE_CHECKING

from reconciler.context import mesh_context
from reconciler.decode import mesh_resource
from reconciler.kds.codec import decode_insight, encode_carried
from reconciler.kds.slice import next_slice
from reconciler.load import read_file
from reconciler.routes import planned_routes
from reconciler.topology import merged_by_address
from reconciler.view import egress_view, ingress_view, sidecar_view
from xds.ads_stream import AdsStream
from xds.translate import translate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

# In the order in which a change travels; what a step asks for comes between.
CALLS: dict[CodeType, str] = {
    read_file.__code__: "files parsed",
    mesh_resource.__code__: "resources decoded",
    decode_insight.__code__: "insights counted",
    encode_carried.__code__: "resources framed",
    next_slice.__code__: "slices composed",
    mesh_context.__code__: "contexts made",
    sidecar_view.__code__: "proxies looked at",
    ingress_view.__code__: "ingresses looked at",
    egress_view.__code__: "egresses looked at",
    planned_routes.__code__: "destinations computed",
    merged_by_address.__code__: "endpoints computed",
    translate.__code__: "snapshots made",
    AdsStream.push.__code__: "streams looked at",
}
ROWS = (
    "blobs read",
    "repository loaded whole",
    "files parsed",
    "resources decoded",
    "insights counted",
    "entries of the diff",
    "resources framed",
    "slices composed",
    "sent to zones",
    "bytes to zones",
    "rows written",
    "contexts made",
    "proxies looked at",
    "ingresses looked at",
    "egresses looked at",
    "destinations computed",
    "endpoints computed",
    "views that differ",
    "snapshots made",
    "certificates asked for",
    "built",
    "streams looked at",
    "sent to proxies",
    "bytes to proxies",
    "told to the global",
    "status wanted",
)
GLOBAL = "global"
NOTHING = "nothing"
LABEL = 44  # characters


@dataclass
class Counted:
    """`where` is who is at work: the global or a zone, set by the world."""

    where: str = GLOBAL
    found: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # row, detail, where
    watching: bool = False

    def add(self, row: str, count: int = 1, *, detail: str = "", where: str = "") -> None:
        assert row in ROWS, row
        if self.watching and count:
            self.found[row, detail, where or self.where] += count

    @contextmanager
    def watch(self) -> Iterator[None]:
        self.found.clear()
        before = sys.getprofile()
        self.watching = True
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(before)
            self.watching = False

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (row := CALLS.get(frame.f_code)) is not None:
            mesh = frame.f_locals["mesh"] if row == "contexts made" else ""
            self.add(row, detail=mesh)

    def table(self, columns: tuple[str, ...]) -> str:
        """Rows in the order in which a change travels; what is not listed was not done."""
        if not self.found:
            return NOTHING
        labels = sorted({(ROWS.index(row), detail) for row, detail, _ in self.found})
        lines = [f"{'':{LABEL}}" + "".join(f"{name:>8}" for name in columns)]
        for at, detail in labels:
            counts = [self.found[ROWS[at], detail, name] for name in columns]
            label = f"{ROWS[at]}: {detail}" if detail else ROWS[at]
            if any(counts):
                lines.append(f"{label:{LABEL}}" + "".join(f"{n or '':>8}" for n in counts))
        return "\n".join(line.rstrip() for line in lines)


def shown(table: str) -> str:
    """A table as it stands in a test."""
    return dedent(table).strip("\n").rstrip()
