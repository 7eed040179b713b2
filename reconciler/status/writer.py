"""Carries out what the status step decides: reads and commits status refs. Blocking.

A zone never writes another's ref: which zone this writer writes for is given when it is made, and
the content names its zone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.git.errors import GitFailed, Permanent, RefMoved, RewriteRefused, Throttled
from reconciler.git.remote import RemoteLimits, RemoteTransport
from reconciler.git.status_journal import JOURNAL_FILE, FileJournal, Intent
from reconciler.git.status_ref import (
    STATUS_PREFIX,
    FoundRef,
    LocalStatusRefs,
    NewCommit,
    RemoteStatusRefs,
    check_prefix,
    ref_of_zone,
)
from reconciler.git.transport import Move
from reconciler.runtime.log import fault_of_ours
from reconciler.status.document import files_digest
from reconciler.steps.status_state import (
    Failed,
    Push,
    Pushed,
    ReadTips,
    Refusal,
    Refused,
    Tip,
    TipsRead,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from reconciler.git.address import Address
    from reconciler.git.status_journal import Journal
    from reconciler.git.status_ref import StatusRefs
    from reconciler.steps.status_state import Change

MIRROR_FOLDER = "status.git"
RELAY = "global"  # how the global signs; a zone signs with its name, which can never be this
AUTHOR = "mesh-reconciler {writer} <{writer}@mesh-reconciler.invalid>"
TRAILER = re.compile(r"^(Zone|Number|Began): (\S{1,100})$", re.MULTILINE)
SHOWN_MAX = 200


class StatusWriter:
    """Status refs of one repository. `zone`: the only one it writes, None for all of them (the
    global's relay). `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        zone: str | None,
        refs: StatusRefs,
        journal: Journal,
        clock: Callable[[], float],
        prefix: str = STATUS_PREFIX,
    ) -> None:
        self.zone = zone
        self.refs = refs
        self.journal = journal
        self.clock = clock
        self.prefix = prefix
        self._known: dict[str, str | None] = {}  # ref -> its tip when last looked at

    def ref(self, zone: str) -> str:
        assert self.zone in (None, zone), "a zone writes its own ref only"
        return ref_of_zone(zone, self.prefix)

    def carry_out(self, effect: ReadTips | Push) -> TipsRead | Pushed | Failed:
        """The event that answers the effect; the world's faults are answers too."""
        try:
            if isinstance(effect, ReadTips):
                return TipsRead(self._read(effect.zones), self.clock())
            return Pushed(self._push(effect.changes), self.clock())
        except AssertionError:
            raise
        except (GitFailed, OSError) as error:
            return Failed(refused(error), self.clock())
        except Exception as error:  # a fault of ours: unanswered, it would end all later commits
            text = fault_of_ours(error)
            return Failed(Refused(Refusal.UNREACHABLE, text), self.clock())

    def release(self, zone: str) -> None:
        """The zone writes its ref itself from here on: what it says there is no surprise later."""
        self._known.pop(self.ref(zone), None)

    def close(self) -> None:
        """Ends a call under way to a remote."""
        self.refs.close()

    # --- reading ---

    def _read(self, zones: tuple[str, ...]) -> dict[str, Tip | Refused]:
        refs: dict[str, str] = {}
        found: dict[str, Tip | Refused] = {}
        for zone in zones:
            try:
                refs[zone] = self.ref(zone)
            except Permanent as error:  # A real zone may have a name that Git cannot keep.
                found[zone] = refused(error)
        read = self.refs.read(tuple(refs.values()))
        return found | {zone: self._tip(zone, ref, read[ref]) for zone, ref in refs.items()}

    def _tip(self, zone: str, ref: str, found: FoundRef | GitFailed | None) -> Tip | Refused:
        if isinstance(found, GitFailed):
            return refused(found)
        if found is None:
            self._known[ref] = None
            return Tip(None, None)
        said = dict(TRAILER.findall(found.message))
        number, began_at = _whole(said.get("Number")), _whole(said.get("Began"))
        if number is None or began_at is None:
            try:
                chain = self.refs.chain(found.oid)
                number, began_at = chain.count, int(chain.began_at)
            except GitFailed:  # Somebody else's, cut off: it can be written upon all the same.
                number, began_at = 1, int(self.clock())
        return Tip(
            oid=found.oid,
            digest=files_digest(found.files),
            number=number,
            began_at=float(began_at),
            foreign=self._foreign(zone, ref, found, said),
        )

    def _foreign(self, zone: str, ref: str, found: FoundRef, said: Mapping[str, str]) -> str:
        """Who else wrote the ref. At the first look, a tip that names the zone is taken for what an
        earlier process of it wrote, or the global for it.
        """
        intent = self.journal.intents.get(ref)
        ours = {self._known.get(ref)} | ({intent.old, intent.new} if intent else set())
        first = ref not in self._known
        self._known[ref] = found.oid
        if found.oid in ours or (first and said.get("Zone") == zone):
            return ""
        subject = found.message.split("\n")[0]
        return (
            f"{ref} is also written by {_shown(found.author)!r} (commit {found.oid[:12]}, "
            f"{_shown(subject)!r}); a status ref has one writer, end the other one"
        )

    # --- writing ---

    def _push(self, changes: Mapping[str, Change]) -> dict[str, str | Refused]:
        """A commit that cannot be made holds up no other zone's."""
        moves: dict[str, Move] = {}
        intents: dict[str, Intent] = {}
        unmade: dict[str, str | Refused] = {}
        for zone, change in changes.items():
            ref = self.ref(zone)
            try:
                oid = self._repeated(ref, change) or self.refs.prepare(self._commit(zone, change))
            except GitFailed as error:
                unmade[zone] = refused(error)
                continue
            moves[zone] = Move(ref, change.parent, oid, change.rollover)
            intents[ref] = Intent(change.parent, oid, change.content.digest, change.rollover)
        if not moves:
            return unmade
        self.journal.keep(intents)  # before anyone is told
        failed = self.refs.move(tuple(moves.values()))
        return unmade | {
            zone: refused(failed[move.ref]) if move.ref in failed else move.oid
            for zone, move in moves.items()
        }

    def _repeated(self, ref: str, change: Change) -> str | None:
        """The commit that was about to be pushed when we last looked, if it is the same again."""
        intent = self.journal.intents.get(ref)
        if intent is None or change.rollover or intent.rollover:
            return None
        same = (intent.old, intent.digest) == (change.parent, change.content.digest)
        return intent.new if same and self.refs.has(intent.new) else None

    def _commit(self, zone: str, change: Change) -> NewCommit:
        now = self.clock()
        writer = RELAY if self.zone is None else f"zone {zone}"
        trailers = [f"Zone: {zone}", f"Number: {change.number}", f"Began: {int(change.began_at)}"]
        if change.rollover:
            assert change.parent is not None
            chain = self.refs.chain(change.parent)
            trailers += [
                f"Replaces: {change.parent}",
                f"Replaced-Commits: {chain.count}",
                f"Replaced-Chain: sha256:{chain.digest}",
            ]
        return NewCommit(
            files=change.content.files,
            parent=None if change.rollover else change.parent,
            message="\n".join((f"status({zone}): {change.content.message}", "", *trailers, "")),
            author=AUTHOR.format(writer=writer).replace("<zone ", "<"),
            time=now,
        )


def refused(error: Exception) -> Refused:
    match error:
        case RefMoved():
            kind = Refusal.MOVED
        case RewriteRefused():
            kind = Refusal.NO_REWRITE
        case Permanent():
            kind = Refusal.REJECTED
        case Throttled():
            kind = Refusal.THROTTLED
        case _:
            kind = Refusal.UNREACHABLE
    return Refused(kind, str(error))


def _whole(text: str | None) -> int | None:
    """A number as we write it: whoever else wrote it may have written anything."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 12 else None


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:SHOWN_MAX]


def status_writer(
    zone: str | None,
    repository: Address,
    state_folder: Path,
    clock: Callable[[], float],
    *,
    prefix: str = STATUS_PREFIX,
    limits: RemoteLimits | None = None,
) -> StatusWriter:
    """For the zone's ref in this repository, or for those of all zones. Permanent: a zone name or
    prefix Git refuses.
    """
    check_prefix(prefix)
    also = prefix if zone is None else ref_of_zone(zone, prefix)
    journal = FileJournal(state_folder / JOURNAL_FILE)
    if repository.path is not None:
        refs: StatusRefs = LocalStatusRefs(repository.path)
    else:
        transport = RemoteTransport(repository, limits or RemoteLimits())
        refs = RemoteStatusRefs(state_folder / MIRROR_FOLDER, transport, (also,))
    return StatusWriter(zone, refs, journal, clock, prefix)
