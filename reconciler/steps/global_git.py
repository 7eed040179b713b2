"""The global's Git side: which commit is loaded, and which is in force.

The newest commit is loaded; with one error in it the last good revision stays in force and the
problems are published. One that does not descend from the revision in force is held until somebody
accepts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.kds.admission import zone_keys
from reconciler.kds.filters import RelayRules
from reconciler.problems import Severity
from reconciler.state import from_resources
from reconciler.steps import global_down, global_presence, global_slices
from reconciler.steps.global_state import (
    GATE_TYPES,
    HISTORY_MAX,
    PROBLEMS_MAX,
    Effects,
    GlobalState,
    Held,
    KeepAccepted,
    Load,
    Note,
    Outcome,
    Rejected,
    Revision,
    RevisionInForce,
)
from xds.copying import replace

if TYPE_CHECKING:
    from reconciler.problems import Problem
    from reconciler.state import MeshState
    from reconciler.steps.zone_record import ZoneRecord


def restored(state: GlobalState, in_force: str | None, accepted: str | None) -> GlobalState:
    """The revision last in force comes first: over a restart, too, it serves while the newest
    commit has a mistake, or is held.
    """
    return replace(state, base=in_force, base_due=in_force is not None, accepted=accepted)


def tip_moved(state: GlobalState, commit: str) -> Outcome:
    if commit == state.wanted:
        return state, ()
    state, forgotten = _unless_accepted(replace(state, wanted=commit, held=None), commit)
    if state.loading is not None:
        return state, forgotten  # One load at a time; its end looks at the newest tip.
    state, effects = _load(state)
    return state, (*forgotten, *effects)


def _unless_accepted(state: GlobalState, commit: str) -> Outcome:
    """Exactly one commit was accepted, while it was the newest."""
    if state.accepted in (None, commit):
        return state, ()
    return replace(state, accepted=None), (KeepAccepted(None),)


def secrets_changed(state: GlobalState) -> Outcome:
    """The commit in force has another meaning now, and the newest one may be taken at last: both
    are loaded, in this order.
    """
    if state.loading is not None:
        return replace(state, reload=True), ()
    state = replace(state, base_due=state.base_due or state.published is not None)
    return _load(state) if state.base_due or state.wanted is not None else (state, ())


def _load(state: GlobalState) -> Outcome:
    commit = state.base if state.base_due else state.wanted
    assert commit is not None
    key = state.published.key if state.published is not None else None
    after = None if commit == state.accepted else state.base
    load = Load(commit, key, after, behind(state))
    return replace(state, loading=commit, base_due=False), (load,)


def behind(state: GlobalState) -> tuple[str, ...]:
    """Connected zones of which is known that the revision in force has not arrived there."""
    if state.published is None:
        return ()
    commit = state.published.commit
    return tuple(
        sorted(r.name for r in state.zones.values() if r.streams and _is_behind(r, commit))
    )


def _is_behind(record: ZoneRecord, commit: str) -> bool:
    """A zone of Kuma does not tell of its proxies: what it took has to do."""
    report = record.report
    if report is None:
        return bool(record.took) and record.took != commit
    return report.revision != commit or bool(report.pending)


def _next(state: GlobalState, done: str) -> Outcome:
    """After a load: a newer commit may have come in meanwhile, and a burst converges on
    the last.
    """
    told = state.load_error if state.base_unread else None
    again = state.reload
    due = state.base_due or (again and state.published is not None)
    state = replace(state, loading=None, load_error=told, reload=False, base_due=due)
    more = due or (state.wanted is not None and (again or state.wanted != done))
    return _load(state) if more else (state, ())


def unchanged(state: GlobalState, commit: str) -> Outcome:
    """No work, but the revision in force moves: zones are sent the manifest alone."""
    assert state.published is not None
    return _in_force(state, replace(state.published, commit=commit))


def loaded(state: GlobalState, revision: Revision) -> Outcome:
    return _in_force(state, revision)


def load_rejected(state: GlobalState, commit: str, problems: tuple[Problem, ...]) -> Outcome:
    if state.published is not None and commit == state.published.commit:
        return _values_refused(state, commit, problems)
    rejected = Rejected(commit, tuple(problems[:PROBLEMS_MAX]))
    notes: Effects = (
        Note("revision.rejected", {"commit": commit, "problems": len(problems)}),
        *(Note("revision.problem", {"problem": str(problem)}) for problem in problems[:10]),
    )
    state, effects = _next(replace(state, rejected=rejected), commit)
    return state, (*notes, *effects)


def _without_overtaken(state: GlobalState, commit: str) -> GlobalState:
    """The newest commit stays rejected while the one in force is only loaded once more."""
    rejected = state.rejected
    newest = rejected is not None and rejected.commit == state.wanted != commit
    return state if newest else replace(state, rejected=None)


def _values_refused(state: GlobalState, commit: str, problems: tuple[Problem, ...]) -> Outcome:
    """The commit in force was taken with other values of its secrets, which stay in force."""
    assert state.published is not None
    warnings = tuple(replace(p, severity=Severity.WARNING) for p in problems[:PROBLEMS_MAX])
    published = replace(state.published, warnings=warnings)
    state = _without_overtaken(state, commit)
    notes = (Note("revision.problem", {"problem": str(problem)}) for problem in problems[:10])
    state, effects = _next(replace(state, published=published), commit)
    return state, (*notes, *effects)


def load_failed(state: GlobalState, commit: str, message: str) -> Outcome:
    """Forget that it was wanted, so that the next look at the tip tries it again. The one in force
    is owed another look, too: its secrets changed, and a newer commit may stay rejected.
    """
    wanted = None if state.wanted == commit else state.wanted
    base_unread = state.base_unread or commit == state.base
    state = replace(state, loading=None, wanted=wanted, load_error=message, base_unread=base_unread)
    note = Note("revision.load_failed", {"commit": commit, "message": message})
    if wanted is None:
        return state, (note,)
    state, effects = _load(state)
    return state, (note, *effects)


def retry_due(state: GlobalState, tip: str | None) -> Outcome:
    """What could not be read a while ago; nothing of it when other news came in meanwhile."""
    due = state.base_unread
    wanted = state.wanted if state.wanted is not None else tip
    more = due or wanted != state.wanted
    state = replace(state, base_due=due, base_unread=False, wanted=wanted)
    return _load(state) if more and state.loading is None else (state, ())


def load_held(state: GlobalState, commit: str, in_force: str) -> Outcome:
    """A rewound or rewritten branch is followed by nobody unasked."""
    if commit == state.wanted:
        rejected = state.rejected if state.published is None else None
        state = replace(state, held=Held(commit, in_force), rejected=rejected)
    note = Note("revision.held", {"commit": commit, "in_force": in_force})
    state, effects = _next(state, commit)
    return state, (note, *effects)


def accept(state: GlobalState, commit: str) -> Outcome:
    """Only what is held can be accepted; the next rewritten history is held again."""
    if state.held is None or state.held.commit != commit:
        return state, ()
    state = replace(state, held=None, accepted=commit, wanted=commit)
    note = Note("revision.accepted", {"commit": commit})
    if state.loading is not None:
        return state, (KeepAccepted(commit), note)
    state, effects = _load(state)
    return state, (KeepAccepted(commit), note, *effects)


def gates(resources: MeshState) -> MeshState:
    return from_resources(r for type_ in GATE_TYPES for r in resources.of(type_))


def _in_force(state: GlobalState, revision: Revision) -> Outcome:
    commit, declared = revision.commit, state.declared
    few = revision.gates or gates(revision.resources)
    used: Effects = (KeepAccepted(None),) if commit == state.accepted else ()
    before = state.published.commit if state.published is not None else None
    history = state.history if commit == before else (*state.history, commit)[-HISTORY_MAX:]
    state = replace(
        state,
        published=revision,
        history=history,
        base=commit,
        base_unread=False,
        base_due=False,
        accepted=None if used else state.accepted,
        rules=RelayRules(global_down.disabled_zones(few), revision.settings.zone_policies),
        keys=zone_keys(few),
        declared=frozenset(r.key.name for r in few.of("Zone")),
    )
    state = _without_overtaken(state, commit)
    announce = RevisionInForce(commit)
    note = Note("revision.published", {"revision": commit, "zones": len(state.zones)})
    state, sent = global_slices.reslice(state)
    state, ended = global_presence.revised(state, declared)
    state, loading = _next(state, commit)
    return state, (announce, *used, *sent, note, *ended, *loading)
