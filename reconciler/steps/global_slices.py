"""Which zones are to be offered something, and what each should be shown: a few at a time.

A change marks sessions due; `OfferDue` takes the longest waiting few, so that a hundred zones never
hold the loop, and a newer change simply finds them due still. A slice belongs to a stream, not to a
zone: an old stream that ends late cannot disturb the new one, and a zone that was upgraded has
other features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.kds.slice import Framed, merged, next_framed, next_slice, sifted
from reconciler.kds.slice import relay as relayed_slice
from reconciler.kds.types import MANIFEST
from reconciler.steps.global_state import OfferSoon
from reconciler.steps.zone_record import Sifting, Told
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.kds.slice import Pair, Slice
    from reconciler.kds.zone_node import ZoneFeatures
    from reconciler.model.resource import MeshResource
    from reconciler.steps.global_state import GlobalState, Outcome
    from reconciler.steps.zone_record import Session

# Of one turn, in resources that are looked at or sent: 1.5 ms of CPU, measured with 100 zones.
TURN_WORK = 150
SLICE_WORK, TYPE_WORK = 30, 3  # what composing a slice, and offering a type, costs beside these


def downward(state: GlobalState) -> list[Session]:
    found = (s for s in state.sessions.values() if s.downward)
    return sorted(found, key=lambda s: s.id)


def mark(state: GlobalState, sessions: Iterable[str]) -> Outcome:
    """These are offered what they lack, behind those that wait already."""
    fresh = [session for session in sessions if session not in state.due]
    if not fresh:
        return state, ()
    return replace(state, due={**state.due, **dict.fromkeys(fresh)}), (OfferSoon(),)


def reslice(state: GlobalState) -> Outcome:
    """Every connected zone is shown the revision in force."""
    assert state.published is not None
    used = {s.announced.features for s in state.sessions.values() if s.announced}
    kept = {f: framed for f, framed in state.framed.items() if f in used}
    ready = state.published.framed
    if ready is not None:
        kept[ready.features] = ready
    state = replace(state, framed=type(state.framed)(kept))
    return mark(state, (s.id for s in downward(state) if s.announced is not None))


def owe(state: GlobalState, types: frozenset[str]) -> Outcome:
    """These types are offered to every connected zone that subscribed to them."""
    asked = [s for s in downward(state) if not types.isdisjoint(s.senders)]
    for session in asked:
        owes = tuple(sorted({*session.owes, *types.intersection(session.senders)}))
        state = _kept(state, replace(session, owes=owes))
    return mark(state, (session.id for session in asked))


def relay(state: GlobalState, owner: str, pairs: tuple[Pair, ...]) -> Outcome:
    """What changed with one zone, to all others. An owner of "" is the global itself."""
    others = [s.id for s in downward(state) if s.announced is not None and s.zone != owner]
    if not others:
        return state, ()
    number = state.changes + 1
    told = (*state.told, Told(number, owner, pairs))
    return mark(replace(state, told=told, changes=number), others)


def without(state: GlobalState, session_id: str) -> GlobalState:
    """It owes nothing any more, or is gone; what everybody has seen by now is forgotten."""
    due = {each: None for each in state.due if each != session_id}
    return _trimmed(replace(state, due=due))


def _trimmed(state: GlobalState) -> GlobalState:
    if not state.told:
        return state
    waiting = (state.sessions.get(session) for session in state.due)
    seen = [s.seen for s in waiting if s is not None and (s.shown or s.sifting)]
    least = min(seen, default=state.changes)
    return replace(state, told=tuple(told for told in state.told if told.number > least))


def is_stale(state: GlobalState, session: Session) -> bool:
    """Whether what it is shown is not what it should be."""
    shown, published = session.shown, state.published
    assert published is not None
    return (
        shown is None
        or shown.rules != state.rules
        or shown.revision != published.commit
        or shown.framed.owned is not published.resources
        or session.seen < state.changes
    )


def refreshed(state: GlobalState, session: Session) -> tuple[GlobalState, Session, int]:
    """The session with what it should be shown, or nearer to it; and the work that was."""
    said, published = session.announced, state.published
    assert said is not None
    assert published is not None
    shown, sifting, rules = session.shown, session.sifting, state.rules
    work = SLICE_WORK
    if shown is None or shown.rules != rules:
        if sifting is None or sifting.rules != rules:
            sifting = Sifting(rules, tuple(_relayable(state)))
            session = replace(session, seen=state.changes)
        sifting, work = _sifted(session, sifting)
        if sifting.at < len(sifting.waiting):
            session = replace(session, sifting=sifting)
            return _kept(state, session), session, work
    elif sifting is not None:  # The rules are those of before again.
        sifting = None
    state, framed = _framed(state, said.features)
    relayed = sifting.found if sifting is not None else None
    after = next_slice(shown, session.zone, published.commit, framed, rules, relayed)
    pairs = [
        pair
        for told in state.told
        if told.number > session.seen and told.owner != session.zone
        for pair in told.pairs
    ]
    if pairs:
        after, work = relayed_slice(after, merged(pairs)), work + len(pairs)
    owes = _owed(session, after)
    session = replace(session, shown=after, sifting=None, seen=state.changes, owes=owes)
    return _kept(state, session), session, work


def _sifted(session: Session, sifting: Sifting) -> tuple[Sifting, int]:
    """Of what zones relay, the next part."""
    assert session.announced is not None
    part = sifting.waiting[sifting.at : sifting.at + TURN_WORK]
    features = session.announced.features
    found = sifted(sifting.found, part, session.zone, features, sifting.rules)
    return replace(sifting, at=sifting.at + len(part), found=found), SLICE_WORK + len(part)


def _owed(session: Session, after: Slice) -> tuple[str, ...]:
    """Types that say something else now, and those of an earlier change that were not offered
    since. The manifest comes behind them all.
    """
    owed = set(session.senders.keys())
    if session.shown is not None:
        before = session.shown.types
        owed = {t for t in owed if after.types.get(t) is not before.get(t)} | set(session.owes)
    return tuple(sorted(owed - {MANIFEST}))


def _kept(state: GlobalState, session: Session) -> GlobalState:
    return replace(state, sessions=state.sessions.insert(session.id, session))


def _relayable(state: GlobalState) -> Iterator[MeshResource]:
    """Everything that zones give to others, and what is computed of it."""
    for record in state.zones.values():
        yield from record.relayed.by_key.values()
    yield from state.service_insights.by_key.values()


def _framed(state: GlobalState, features: ZoneFeatures) -> tuple[GlobalState, Framed]:
    assert state.published is not None
    before = state.framed.get(features) or Framed(features)
    since = state.published.since
    change = since[1] if since is not None and since[0] is before.owned else None
    owned, hashed = state.published.resources, features.hash_suffix
    same = (f for f in state.framed.values() if f.owned is owned)
    beside = next((f for f in same if f.features.hash_suffix is hashed), None)
    after = next_framed(before, owned, change, beside)
    if after is not before:
        state = replace(state, framed=state.framed.insert(features, after))
    return state, after
