"""Has a commit arrived? One answer for `status` and `wait`, on the global and on a zone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.status.announcement import StatusMode

if TYPE_CHECKING:
    from reconciler.kds.manifest import ConvergenceReport
    from reconciler.steps.global_state import GlobalState
    from reconciler.steps.zone_record import ZoneRecord

DETAILS_MAX = 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """`outcome` is "arrived", "rejected", "held" or "pending"; `wait` turns the last into
    "timeout".
    """

    outcome: str
    message: str
    details: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        return {
            "outcome": self.outcome,
            "message": self.message,
            "details": list(self.details[:DETAILS_MAX]),
        }


def global_outcome(state: GlobalState, commit: str) -> Outcome:
    """`commit` may be the beginning of an id. A newer revision in force includes it; one that was
    overtaken before it was in force itself is asked for by the commit that contains it.
    """
    held = state.held
    if held is not None and held.commit.startswith(commit):
        return Outcome("held", held_text(held.commit, held.in_force))
    rejected = state.rejected
    if rejected is not None and rejected.commit.startswith(commit):
        problems = tuple(str(problem) for problem in rejected.problems)
        return Outcome("rejected", f"commit {rejected.commit[:12]} has problems", problems)
    found = [i for i, known in enumerate(state.history) if known.startswith(commit)]
    if not found:
        return _not_in_force(state, commit)
    # Since it was in force last: what a rollback undid does not contain it.
    wanted = frozenset(state.history[found[-1] :])
    counted = [record for record in _records(state) if _counts(state, record)]
    lines = [_zone_line(record, wanted) for record in counted]
    waiting = tuple(text for outcome, text in lines if outcome == "pending")
    if waiting:
        return Outcome("pending", f"{len(waiting)} of {len(lines)} zones do not have it", waiting)
    refused = tuple(text for outcome, text in lines if outcome == "rejected")
    if refused:
        return Outcome("rejected", f"rejected in {len(refused)} of {len(lines)} zones", refused)
    silent = [text for (_, text), record in zip(lines, counted, strict=True) if is_kuma(record)]
    return Outcome("arrived", _arrived_text(len(lines) - len(silent), len(silent)), tuple(silent))


def _arrived_text(telling: int, silent: int) -> str:
    """What is known of the proxies of each zone, and not more."""
    text = f"all proxies of {telling} zones have it"
    if not silent:
        return text
    kuma = f"{silent} zones of Kuma have taken it"
    return f"{text}, and {kuma}" if telling else kuma


def held_text(commit: str, in_force: str) -> str:
    return (
        f"commit {commit[:12]} is held: it does not descend from {in_force[:12]}, which is in "
        f"force; if the branch was rewritten on purpose, run `reconciler accept {commit}`"
    )


def _not_in_force(state: GlobalState, commit: str) -> Outcome:
    """With what stands in its way, as far as the global can know."""
    text = f"commit {commit[:12]} is not in force at the global yet"
    if state.fetch_error:
        return Outcome("pending", f"{text}; the repository cannot be read", (state.fetch_error,))
    if state.held is not None:
        why = held_text(state.held.commit, state.held.in_force)
        return Outcome("pending", f"{text}; the newest one is held", (why,))
    if state.rejected is not None:
        problems = tuple(str(problem) for problem in state.rejected.problems)
        newest = state.rejected.commit[:12]
        return Outcome("pending", f"{text}; the newest commit {newest} has problems", problems)
    return Outcome("pending", text)


def _records(state: GlobalState) -> list[ZoneRecord]:
    return sorted(state.zones.values(), key=lambda record: record.name)


def _counts(state: GlobalState, record: ZoneRecord) -> bool:
    """A zone that the repository switched off and that is away is not waited for."""
    away = record.connected_at is None or record.disconnected_at is not None
    return not (away and record.name in state.rules.disabled)


def _zone_line(record: ZoneRecord, wanted: frozenset[str]) -> tuple[str, str]:
    if record.connected_at is None or record.disconnected_at is not None:
        text = f"zone {record.name} is not connected"
        return "pending", f"{text}; if it is gone for good, set its Zone to enabled: false"
    if is_kuma(record):
        return _kuma_line(record, wanted)
    if record.report is None:
        return "pending", f"zone {record.name} has not reported yet"
    if record.report.revision not in wanted and record.rejected:
        type_, message = min(record.rejected.items())
        return "rejected", f"zone {record.name} rejected {type_}: {message}"
    return _report_line(record.name, record.report, wanted)


def is_kuma(record: ZoneRecord) -> bool:
    """Whether it says nothing of revisions and of what its proxies have of them."""
    told = record.announced
    return told is not None and told.mode is StatusMode.NONE and record.report is None


def _kuma_line(record: ZoneRecord, wanted: frozenset[str]) -> tuple[str, str]:
    if record.took in wanted:
        text = f"zone {record.name} has taken it; of its proxies a zone of Kuma does not tell"
        return "arrived", text
    if record.rejected:
        type_, message = min(record.rejected.items())
        return "rejected", f"zone {record.name} rejected {type_}: {message}"
    return "pending", f"zone {record.name} has acknowledged {record.took[:12] or 'nothing'} so far"


def _report_line(zone: str, report: ConvergenceReport, wanted: frozenset[str]) -> tuple[str, str]:
    if report.revision not in wanted:
        return "pending", f"zone {zone} has revision {report.revision[:12] or 'none'} in force"
    if report.pending:
        return "pending", f"zone {zone}: {report.pending} of {report.total} proxies to go"
    if report.rejected:
        names = ", ".join(f"{r.proxy}: {r.message}" for r in report.rejections[:3])
        return "rejected", f"zone {zone}: {report.rejected} proxies rejected it: {names}"
    return "arrived", f"zone {zone}: {report.acked} proxies"


def zone_outcome(zone: str, report: ConvergenceReport, commit: str) -> Outcome:
    """`report` is what the zone says of itself now."""
    if not report.revision.startswith(commit) or not commit:
        here = f"revision {report.revision[:12] or 'none'} is in force here"
        text = f"{here}; whether it contains {commit[:12]} is known at the global"
        return Outcome("pending", text)
    outcome, text = _report_line(zone, report, frozenset({report.revision}))
    return Outcome(outcome, text)
