"""Carries out what the status step decides: reads and commits one zone's ref. Blocking.

A zone never writes another's ref: the name is made from the zone this writer was built for, and the
content names its zone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.git.errors import GitFailed, Permanent, RefMoved
from reconciler.git.remote import RemoteLimits, RemoteTransport
from reconciler.git.status_ref import (
    STATUS_PREFIX,
    LocalStatusRef,
    NewCommit,
    RemoteStatusRef,
    ref_of_zone,
)
from reconciler.status.document import files_digest
from reconciler.steps.status_step import Push, Pushed, ReadTip, Refusal, Refused, Tip, TipRead

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconciler.git.address import Address
    from reconciler.git.status_ref import StatusRef

MIRROR_FOLDER = "status.git"
AUTHOR = "mesh-reconciler zone {zone} <{zone}@mesh-reconciler.invalid>"


class StatusWriter:
    """One ref of one repository. `clock` gives seconds since the epoch."""

    def __init__(self, zone: str, ref: StatusRef, clock: Callable[[], float]) -> None:
        self.zone = zone
        self.ref = ref
        self.clock = clock

    def carry_out(self, effect: ReadTip | Push) -> TipRead | Pushed | Refused:
        """The event that answers the effect; the world's faults are answers too."""
        assert self.ref.name.endswith(f"/{self.zone}"), "a zone writes its own ref only"
        try:
            if isinstance(effect, ReadTip):
                oid, files = self.ref.read()
                tip = Tip(oid, files_digest(files) if oid is not None else None)
                return TipRead(tip, self.clock())
            return Pushed(self._write(effect), self.clock())
        except RefMoved as error:
            return Refused(Refusal.MOVED, str(error), self.clock())
        except Permanent as error:
            return Refused(Refusal.REJECTED, str(error), self.clock())
        except (GitFailed, OSError) as error:
            return Refused(Refusal.UNREACHABLE, str(error), self.clock())
        except Exception as error:  # a fault of ours: unanswered, it would end all later commits
            text = f"internal error, please report it: {type(error).__name__}: {error}"
            return Refused(Refusal.UNREACHABLE, text, self.clock())

    def _write(self, push: Push) -> str:
        return self.ref.write(
            NewCommit(
                files=push.content.files,
                parent=push.parent,
                message=f"status({self.zone}): {push.content.message}\n",
                author=AUTHOR.format(zone=self.zone),
                time=self.clock(),
            )
        )

    def close(self) -> None:
        """Ends a call under way to a remote."""
        self.ref.close()


def status_writer(
    zone: str,
    repository: Address,
    state_folder: Path,
    clock: Callable[[], float],
    *,
    prefix: str = STATUS_PREFIX,
    limits: RemoteLimits | None = None,
) -> StatusWriter:
    """For the zone's ref in this repository. Permanent: a zone name or prefix Git refuses."""
    name = ref_of_zone(zone, prefix)
    if repository.path is not None:
        return StatusWriter(zone, LocalStatusRef(repository.path, name), clock)
    transport = RemoteTransport(repository, limits or RemoteLimits())
    ref = RemoteStatusRef(state_folder / MIRROR_FOLDER, transport, name)
    return StatusWriter(zone, ref, clock)
