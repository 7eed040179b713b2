"""What may be wrong with the Git remote and the global's mirror of it, for a while.

The remote is away, or has lost the branch; the status refs cannot be written, or slowly; the mirror
is lost or damaged, which matters only while the remote is away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class SimRemote:
    away: bool = False
    branch_gone: bool = False
    status: str = ""  # "away", "slow" or "refusing"
    mirror_whole: bool = True
    fetched: str | None = None  # the tip in the mirror
    status_fetched: dict[str, Mapping[str, bytes]] = field(default_factory=dict)  # by zone

    def heal(self) -> None:
        self.away = self.branch_gone = False
        self.status = ""
        self.mirror_whole = True
