"""The global control plane's decisions, one event at a time. See `global_state` for what goes in
and out; `global_git`, `global_zones` and `global_down` decide.
"""

from __future__ import annotations

from typing import assert_never

from reconciler.steps import (
    global_down,
    global_gather,
    global_git,
    global_presence,
    global_services,
    global_zones,
)
from reconciler.steps.global_state import (
    Accepted,
    AdminClosed,
    AdminOpened,
    Event,
    FetchFailed,
    FetchRecovered,
    GlobalState,
    Loaded,
    LoadFailed,
    LoadHeld,
    LoadRejected,
    Note,
    OfferDue,
    Outcome,
    Restored,
    RetryDue,
    SecretsChanged,
    StatusRefsRead,
    Tick,
    TipMoved,
    Unchanged,
    ZoneClosed,
    ZoneHealthy,
    ZoneOpened,
    ZonePublished,
    ZoneSubscribed,
)
from xds.copying import replace


def step(state: GlobalState, event: Event) -> Outcome:
    """Pure: equal state and event give an equal outcome."""
    match event:
        case Restored(relayed, in_force, accepted, lost):
            state = global_git.restored(state, in_force, accepted)
            state, gathers = global_gather.begun(state, lost=lost)
            state, effects = global_zones.restored(state, relayed)
            return state, (*effects, *gathers)
        case StatusRefsRead(ingresses):
            return global_zones.refs_read(state, ingresses)
        case TipMoved(commit):
            return global_git.tip_moved(state, commit)
        case FetchFailed(message):
            return replace(state, fetch_error=message), (
                Note("git.fetch_failed", {"message": message}),
            )
        case FetchRecovered():
            return replace(state, fetch_error=None), (Note("git.recovered", {}),)
        case SecretsChanged():
            return global_git.secrets_changed(state)
        case Unchanged(commit):
            return global_git.unchanged(state, commit)
        case Loaded(revision):
            return global_git.loaded(state, revision)
        case LoadRejected(commit, problems):
            return global_git.load_rejected(state, commit, problems)
        case LoadFailed(commit, message):
            return global_git.load_failed(state, commit, message)
        case LoadHeld(commit, in_force):
            return global_git.load_held(state, commit, in_force)
        case Accepted(commit):
            return global_git.accept(state, commit)
        case RetryDue(tip):
            return global_git.retry_due(state, tip)
        case ZoneOpened():
            state, gathers = global_gather.zone_opened(state, event.now)
            state, effects = global_zones.opened(state, event)
            return state, (*effects, *gathers)
        case ZoneSubscribed(session, request, now):
            return global_down.subscribed(state, session, request, now)
        case ZonePublished():
            return global_zones.published(state, event)
        case ZoneHealthy(zone, now):
            return global_zones.healthy(state, zone, now)
        case ZoneClosed(session, now):
            return global_zones.closed(state, session, now)
        case AdminOpened():
            return global_presence.admin_opened(state, event)
        case AdminClosed(session):
            return replace(state, admin=state.admin.discard(session)), ()
        case OfferDue():
            return global_down.offer_due(state)
        case Tick(now):
            state, ended = global_presence.tick(state, now)
            state, told = global_services.tick(state, now)
            state, gathered = global_gather.tick(state, now)
            return state, (*ended, *told, *gathered)
        case _:
            assert_never(event)
