"""The global's Git side: which commit is loaded, and which is in force.

The newest commit is loaded; with one error in it the last good revision stays in force and the
problems are published.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.steps import global_down
from reconciler.steps.global_state import (
    HISTORY_MAX,
    PROBLEMS_MAX,
    Effects,
    GlobalState,
    Load,
    Note,
    Outcome,
    Rejected,
    Revision,
    RevisionInForce,
)

if TYPE_CHECKING:
    from reconciler.problems import Problem


def tip_moved(state: GlobalState, commit: str) -> Outcome:
    if commit == state.wanted:
        return state, ()
    state = replace(state, wanted=commit)
    if state.loading is not None:
        return state, ()  # One load at a time; its end looks at the newest tip.
    return _load(state)


def _load(state: GlobalState) -> Outcome:
    assert state.wanted is not None
    key = state.published.key if state.published is not None else None
    return replace(state, loading=state.wanted), (Load(state.wanted, key),)


def _next(state: GlobalState, done: str) -> Outcome:
    """After a load: a newer commit may have come in meanwhile, and a burst converges on
    the last.
    """
    state = replace(state, loading=None, load_error=None)
    return _load(state) if state.wanted != done else (state, ())


def unchanged(state: GlobalState, commit: str) -> Outcome:
    """No work, but the revision in force moves: zones are sent the manifest alone."""
    assert state.published is not None
    return _in_force(state, replace(state.published, commit=commit))


def loaded(state: GlobalState, revision: Revision) -> Outcome:
    return _in_force(state, revision)


def load_rejected(state: GlobalState, commit: str, problems: tuple[Problem, ...]) -> Outcome:
    rejected = Rejected(commit, tuple(problems[:PROBLEMS_MAX]))
    notes: Effects = (
        Note("revision.rejected", {"commit": commit, "problems": len(problems)}),
        *(Note("revision.problem", {"problem": str(problem)}) for problem in problems[:10]),
    )
    state, effects = _next(replace(state, rejected=rejected), commit)
    return state, (*notes, *effects)


def load_failed(state: GlobalState, commit: str, message: str) -> Outcome:
    """Forget that it was wanted, so that the next look at the tip tries it again."""
    wanted = None if state.wanted == commit else state.wanted
    state = replace(state, loading=None, wanted=wanted, load_error=message)
    note = Note("revision.load_failed", {"commit": commit, "message": message})
    if wanted is None:
        return state, (note,)
    state, effects = _load(state)
    return state, (note, *effects)


def _in_force(state: GlobalState, revision: Revision) -> Outcome:
    history = (*state.history, revision.commit)[-HISTORY_MAX:]
    state = replace(state, published=revision, rejected=None, history=history)
    announce = RevisionInForce(revision.commit)
    note = Note("revision.published", {"revision": revision.commit, "zones": len(state.zones)})
    state, sent = global_down.reslice(state)
    state, loading = _next(state, revision.commit)
    return state, (announce, *sent, note, *loading)
