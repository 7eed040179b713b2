"""What a writer of status refs knows, what may happen to it, and what it may do. Values only;
`status_step` holds the transitions.

A zone that pushes its own ref is the case of one ref; the global that writes those of relay zones
has one each, and pushes all that changed at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DAY_S = 86_400.0

# --- settings and state ---


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """`pushes_per_minute` 0: no budget (a local repository); `rollover_commits` 0: never."""

    backoff: Callable[[int], float]  # failures in a row -> seconds to wait
    coalesce_s: float = 10.0
    coalesce_max_s: float = 300.0  # what the window grows to while the remote is slow or refuses
    slow_push_s: float = 5.0  # a push that takes longer says that the remote has too much to do
    urgent_gap_s: float = 1.0  # between two pushes, of which the second is urgent
    pushes_per_minute: int = 6
    rollover_commits: int = 10_000
    rollover_every_s: float = DAY_S


@dataclass(frozen=True, slots=True)
class Content:
    """What a ref shall say. `digest` is `files_digest(files)`; `message` goes on the commit.

    `reach`: what other zones can reach through it; without one of these it is urgent.
    """

    digest: str
    files: Mapping[str, bytes]
    message: str = ""
    reach: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Tip:
    """A ref as read: None, None when it does not exist. `number` is of this commit in its chain,
    whose root is from `began_at`; `foreign` names who else wrote it, "" when nobody did.
    """

    oid: str | None
    digest: str | None
    reach: frozenset[str] | None = None
    number: int = 0
    began_at: float = 0.0
    foreign: str = ""


@dataclass(frozen=True, slots=True)
class RefState:
    wanted: Content | None = None
    tip: Tip | None = None  # None: not read
    retry_at: float = 0.0
    failures: int = 0  # of this ref, in a row
    rivals: int = 0  # tips of someone else in a row
    reported: str = ""  # what was last told of it; "" when all is well
    rolled_at: float | None = None  # when a rollover was last tried


@dataclass(frozen=True, slots=True)
class Counters:
    """Since the start, for `status` and metrics."""

    commits: int = 0
    pushes: int = 0
    refused: int = 0  # reads and pushes that failed, each ref by itself
    throttled: int = 0
    coalesced: int = 0  # changes that a later one overtook before a push
    urgent: int = 0  # pushes ahead of the window
    rollovers: int = 0
    rivals: int = 0


@dataclass(frozen=True, slots=True)
class StatusState:
    settings: StatusSettings
    refs: Mapping[str, RefState] = field(default_factory=dict)  # by zone
    reading: frozenset[str] = frozenset()
    pushing: Mapping[str, Change] = field(default_factory=dict)
    pushes: tuple[float, ...] = ()  # starts of pushes within the budget's minute, oldest first
    window_s: float | None = None  # None: as in the settings
    retry_at: float = 0.0  # of the remote as a whole
    failures: int = 0
    reported: str = ""
    no_rollover: str = ""  # why there is none any more
    flushing: bool = False
    seen: float = 0.0  # the time of the last event
    counters: Counters = Counters()


# --- events ---


@dataclass(frozen=True, slots=True)
class Wanted:
    zone: str
    content: Content
    now: float


@dataclass(frozen=True, slots=True)
class Released:
    """This ref is no longer ours to write: the zone does it itself."""

    zone: str


class Refusal(StrEnum):
    MOVED = "moved"  # someone else wrote the ref
    UNREACHABLE = "unreachable"  # may have happened or not
    THROTTLED = "throttled"  # the remote asks for fewer pushes
    REJECTED = "rejected"  # a person must change something
    NO_REWRITE = "no rewrite"  # of a rollover: the remote lets refs grow only


@dataclass(frozen=True, slots=True)
class Refused:
    kind: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class TipsRead:
    """Answers ReadTips, for each of its zones."""

    tips: Mapping[str, Tip | Refused]
    now: float


@dataclass(frozen=True, slots=True)
class Pushed:
    """Answers Push: the oid of each zone's ref, or why it did not move."""

    results: Mapping[str, str | Refused]
    now: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Answers either: nothing is known of any of the refs."""

    refused: Refused
    now: float


@dataclass(frozen=True, slots=True)
class Tick:
    now: float


@dataclass(frozen=True, slots=True)
class Flush:
    """The process ends: what waits for its window goes now, within the budget."""

    now: float


Event = Wanted | Released | TipsRead | Pushed | Failed | Tick | Flush

# --- effects ---


@dataclass(frozen=True, slots=True)
class Change:
    """A commit on `parent` (None: a root). A rollover begins the ref anew, if it is still there."""

    content: Content
    parent: str | None
    number: int = 1
    began_at: float = 0.0
    rollover: bool = False


@dataclass(frozen=True, slots=True)
class ReadTips:
    """Read these zones' refs; answered by TipsRead or Failed."""

    zones: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Push:
    """Commit and move these refs, all in one push; answered by Pushed or Failed."""

    changes: Mapping[str, Change]


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Deliver Tick at this time, or later."""

    at: float


@dataclass(frozen=True, slots=True)
class Report:
    """For people: what is wrong with a zone's ref, or with the remote (zone ""); "" when it is no
    longer.
    """

    zone: str
    message: str


Effect = ReadTips | Push | WakeAt | Report
Effects = tuple[Effect, ...]
Outcome = tuple[StatusState, Effects]
