"""The sending side of delta xDS for one resource type on one stream: no socket, no clock, no role.

ADS and KDS speak the same protocol with different manners; what differs is a frozen `Dialect`. The
owner feeds every request to `on_request` and then offers what the peer should hold with `offer`; at
most one response per type is in flight, and everything that changes meanwhile is merged into the
next one by the diff itself.

Sources: the xDS protocol's incremental variant; KDS as Kuma 2.14 speaks it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import intern
from typing import TYPE_CHECKING

from xds.copying import replace
from xds.difference import NO_NAMES, Differences, Names
from xds.discovery import DeltaRequest, DeltaResponse, RemoteProtocolError
from xds.resource import CLUSTER, ENDPOINT, LISTENER, XdsResource
from xds.snapshot import NO_RESOURCES, Resources, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Set

WILDCARD = "*"
SHARED = frozenset(
    (CLUSTER, ENDPOINT, LISTENER)
)  # of which many peers hold the same, or most of it
DIFFERENCES, NAMES = Differences(), Names()
NAMES_MAX = 50_000  # names one peer may subscribe to in one type
MESSAGE_MAX = 1_000  # characters kept of a rejection
MESSAGE_HEAD = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """The manners in which users of the delta protocol differ."""

    empty_means_all: bool  # a first request without names subscribes to everything
    compares_nonces: bool  # an answer counts only with the nonce in flight
    empty_nonce_forces_reply: bool  # also on a type that was answered before
    resubscribing_resends: bool  # a name subscribed again is sent again
    resends_rejected: bool  # rejected resources go along with the type's next change
    answers_absent_names: bool  # a subscribed name without a resource is answered as removed


ADS_DIALECT = Dialect(  # CDS and LDS
    empty_means_all=True,
    compares_nonces=True,
    empty_nonce_forces_reply=False,
    resubscribing_resends=True,
    resends_rejected=True,
    answers_absent_names=True,
)
ADS_NAMED_DIALECT = replace(ADS_DIALECT, empty_means_all=False)  # EDS, SDS and all other types
KDS_DIALECT = Dialect(
    empty_means_all=True,
    compares_nonces=False,
    empty_nonce_forces_reply=True,
    resubscribing_resends=False,
    resends_rejected=False,
    answers_absent_names=False,
)


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The request changed what the peer wants, or asked for a reply."""


@dataclass(frozen=True, slots=True)
class Acked:
    """The response in flight was accepted."""


@dataclass(frozen=True, slots=True)
class Nacked:
    """The response in flight was rejected; the peer keeps what it held before (or parts of the
    new).
    """

    message: str


@dataclass(frozen=True, slots=True)
class Stale:
    """Nothing was in flight under that nonce, and nothing else was asked."""


Answer = Subscribed | Acked | Nacked | Stale


def _nothing() -> Resources:
    return NO_RESOURCES


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaSender:
    """What one peer asked for, was sent and has accepted, in one type.

    `sent` and `acked` are the offered mappings themselves wherever that is possible, so that a
    thousand peers share them. A resource a peer brought along from an earlier stream
    (initial_resource_versions) has an empty entry.
    """

    type_url: str
    dialect: Dialect
    subscribed: bool = False
    wildcard: bool = False
    names: frozenset[str] = NO_NAMES  # subscribed by name, beside or instead of the wildcard
    sent: Resources = field(default_factory=_nothing)  # replaced on sending, not on ACK
    acked: Resources = field(default_factory=_nothing)  # the `sent` of the last ACK
    flight: DeltaResponse | None = None
    rejected: str | None = None  # message of the last NACK that nothing has superseded yet
    rejected_names: frozenset[str] = NO_NAMES  # sent in rejected responses and not again since
    rejected_removed: frozenset[str] = NO_NAMES  # removed in them
    lacked: frozenset[str] = NO_NAMES  # kept names that were only ever rejected
    absent: frozenset[str] = NO_NAMES  # subscribed names the peer knows not to exist
    due: frozenset[str] = NO_NAMES  # names to send whatever was sent; "*": all
    owed: bool = False  # a reply is due even if it is empty
    offered: Resources | None = None  # the mapping that `sent` was last brought up to
    kept: frozenset[str] = NO_NAMES
    answered: str = ""  # nonce of the last response that was answered
    responses: int = 0  # sent so far
    acks: int = 0
    nacks: int = 0

    @property
    def blind(self) -> bool:
        """Whether the peer may hold what it was sent on another stream and did not tell of."""
        return False

    @property
    def in_flight(self) -> str | None:
        """Nonce of the response without an answer yet."""
        return None if self.flight is None else self.flight.nonce

    @property
    def rejects(self) -> bool:
        """Whether the last word of the peer is a rejection."""
        return self.rejected is not None and self.flight is None

    def holds(self, want: Resources) -> bool:
        """Whether the peer accepted all it asked for of `want`, the mapping last offered (kept
        names aside).
        """
        return (
            self.subscribed
            and self.offered is want
            and self.flight is None
            and self.rejected is None
            and (self.acked is self.sent or bool(self.lacked))
            and not self.owed
            and not self.due
        )

    def on_request(self, request: DeltaRequest) -> tuple[DeltaSender, Answer]:
        """Takes a subscription, an ACK, a NACK, or several at once. The caller offers again
        afterwards.

        Raises RemoteProtocolError if the peer subscribes to more than NAMES_MAX names.
        """
        if not self.subscribed:
            return self._first(request), Subscribed()
        sender, answer = self._answered(request)
        changed = sender._resubscribed(request)
        if changed is not sender and isinstance(answer, Stale):
            answer = Subscribed()
        return changed, answer

    def offer(
        self,
        want: Resources,
        nonce: str,
        *,
        force: frozenset[str] = NO_NAMES,
        keep: frozenset[str] = NO_NAMES,
        step: Step | None = None,
    ) -> tuple[DeltaSender, DeltaResponse | None]:
        """The response that brings the peer to `want`; None if it has it, has not asked, or has yet
        to answer.

        `force` names are sent although their version was sent before; `keep` names are not removed
        yet. `want` is complete knowledge: a subscribed name missing in it does not exist. `step`
        says how `want` came about: who was sent what it starts from costs no look at all the rest.
        """
        if not self.subscribed or self.flight is not None:
            return self, None
        if want is self.offered and keep == self.kept and not (force or self.owed or self.due):
            return self, None
        scope = self._scope(want)
        forced = force.union(self.due) if self.due else force
        if (
            self.type_url in SHARED
            and not (step or self.rejected_names or self.rejected_removed or WILDCARD in forced)
            and keep.isdisjoint(forced)
        ):
            held = NAMES.kept(scope, self.sent, keep) if keep else scope
            found, absent = DIFFERENCES.between(self.sent, held, forced), self._absent(held)
            gone = found.removed
            if not absent <= self.absent:
                gone = tuple(sorted((absent - self.absent).union(gone)))
            return self._sends(found.put, gone, held, absent, want, nonce, keep=keep)
        held = self._with_kept(scope, keep)
        if step is not None and not (
            step.before is self.sent and step.after is held and not force and not self.due
        ):
            step = None
        changed = self._changed(scope, force) if step is None else dict(step.put)
        changed |= self._restated(held, keep)
        # A kept name that is asked for again is sent again, or the peer would go without it.
        again = (self.due | force) - scope.keys()
        changed |= {name: held[name] for name in again if name in held and held[name].entry}
        removed: Set[str] = self.sent.keys() - held.keys() if step is None else step.removed
        absent = self._absent(held)
        removed |= absent - self.absent
        dropped = self.rejected_names.difference(scope)
        if self.dialect.resends_rejected and (changed or removed or dropped):
            # The peer may have dropped the rejected response whole: all of it goes with the cure.
            changed |= {name: scope[name] for name in self.rejected_names if name in scope}
            removed |= self.rejected_removed - held.keys()
        put = tuple(changed[name] for name in sorted(changed))
        gone = tuple(sorted(removed))
        return self._sends(put, gone, held, absent, want, nonce, keep=keep, dropped=dropped)

    def _sends(
        self,
        put: tuple[XdsResource, ...],
        removed: tuple[str, ...],
        held: Resources,
        absent: frozenset[str],
        want: Resources,
        nonce: str,
        *,
        keep: frozenset[str] = NO_NAMES,
        dropped: frozenset[str] = NO_NAMES,
    ) -> tuple[DeltaSender, DeltaResponse | None]:
        """Nothing when that is all. `dropped` were rejected and are wanted no more."""
        if not (put or removed or self.owed):
            return self._unchanged(held, dropped, want, keep), None
        response = DeltaResponse(self.type_url, nonce, put, removed)
        return self._sending(response, held, absent, want, keep), response

    def _first(self, request: DeltaRequest) -> DeltaSender:
        names = _names(request.subscribe)
        wildcard = WILDCARD in request.subscribe or (
            self.dialect.empty_means_all and not request.subscribe
        )
        held = {
            intern(name): XdsResource(name, version, b"")
            for name, version in request.initial_versions.items()
            if wildcard or name in names
        }
        return replace(
            self,
            subscribed=True,
            wildcard=wildcard,
            names=NAMES.one(_bounded(names, self.type_url)),
            sent=held or NO_RESOURCES,
            acked=held or NO_RESOURCES,
            owed=True,
        )

    def _answered(self, request: DeltaRequest) -> tuple[DeltaSender, Answer]:
        if not request.nonce:
            if not self.dialect.empty_nonce_forces_reply:
                return self, Stale()
            return replace(self, flight=None, owed=True), Subscribed()
        if self.flight is None or not self._answers_flight(request.nonce):
            return self, Stale()
        if request.error is None:
            return self._on_ack(self.flight), Acked()
        return self._on_nack(self.flight, request.error), Nacked(request.error)

    def _answers_flight(self, nonce: str) -> bool:
        if self.dialect.compares_nonces:
            return nonce == self.in_flight
        return nonce != self.answered  # An ACK sent again as a guard says nothing about the flight.

    def _on_ack(self, flight: DeltaResponse) -> DeltaSender:
        return replace(
            self,
            flight=None,
            answered=flight.nonce,
            acks=self.acks + 1,
            acked=self._accepted(),
            rejected=self.rejected if self.rejected_names else None,
        )

    def _accepted(self) -> Resources:
        """What was sent, without names kept from a rejected response: the peer may lack those."""
        return _leaving_out(self.sent, self.rejected_names | self.lacked)

    def _on_nack(self, flight: DeltaResponse, message: str) -> DeltaSender:
        names = {resource.name for resource in flight.resources}
        return replace(
            self,
            flight=None,
            answered=flight.nonce,
            nacks=self.nacks + 1,
            rejected=_shortened(message),
            rejected_names=self.rejected_names | names,
            rejected_removed=self.rejected_removed.union(flight.removed),
        )

    def _resubscribed(self, request: DeltaRequest) -> DeltaSender:
        sender = self
        if request.unsubscribe:
            sender = sender._without(frozenset(request.unsubscribe))
        if request.subscribe:
            sender = sender._with(request.subscribe)
        return sender

    def _without(self, gone: frozenset[str]) -> DeltaSender:
        names = NAMES.without(self.names, gone)
        wildcard = self.wildcard and WILDCARD not in gone
        if wildcard:  # What the wildcard still covers is stated again, as the protocol asks.
            due = self.due | (gone & self.names)
            return replace(self, names=names, due=due, offered=None)
        sent = acked = NAMES.scope(self.sent, names)
        if self.acked is not self.sent:
            acked = NAMES.scope(self.acked, names)
        rejected, rejected_names = self.rejected, self.rejected_names & names
        if self.rejected_names and not rejected_names:
            rejected = None  # The peer no longer wants what it rejected, and accepted the rest.
            acked = sent if self.flight is None else acked
        return replace(
            self,
            names=names,
            wildcard=False,
            sent=sent,
            acked=acked,
            absent=self.absent & names,
            due=self.due & names,
            rejected=rejected,
            rejected_names=rejected_names,
            rejected_removed=self.rejected_removed & names,
            offered=None,
        )

    def _with(self, subscribe: tuple[str, ...]) -> DeltaSender:
        names = _names(subscribe)
        everything = WILDCARD in subscribe
        if names <= self.names and (not everything or self.wildcard):
            if not self.dialect.resubscribing_resends:
                return self
            due = self.due.union(subscribe)
            return replace(self, due=due, absent=self.absent - names)
        due = self.due
        if self.dialect.resubscribing_resends:
            due = due.union(names, (WILDCARD,) if everything and self.wildcard else ())
        return replace(
            self,
            names=_bounded(NAMES.union(self.names, names), self.type_url),
            wildcard=self.wildcard or everything,
            owed=self.owed or (everything and not self.wildcard),
            due=due,
            absent=self.absent - names,
            offered=None,
        )

    def _scope(self, want: Resources) -> Resources:
        """What the peer asked for of `want`: `want` itself if possible."""
        return want if self.wildcard else NAMES.scope(want, self.names)

    def _with_kept(self, scope: Resources, keep: frozenset[str]) -> Resources:
        if not keep:
            return scope
        kept = {name: self.sent[name] for name in keep if name in self.sent and name not in scope}
        for name in self.due & kept.keys():
            if not kept[name].entry:
                del kept[name]  # Only its version is known here: the peer is told that it is gone.
        for name in self.rejected_names & kept.keys():
            kept[name] = XdsResource(name, "", b"")  # The peer has an older version or none.
        return {**scope, **kept} if kept else scope

    def _restated(self, _held: Resources, _keep: frozenset[str]) -> Mapping[str, XdsResource]:
        """Kept names whose resource is another than was sent last."""
        return NO_RESOURCES

    def _unchanged(
        self, held: Resources, dropped: frozenset[str], want: Resources, keep: frozenset[str]
    ) -> DeltaSender:
        """Nothing to send for `want`; `dropped` names were rejected and are not wanted any more."""
        rejected, rejected_names, acked = self.rejected, self.rejected_names - dropped, self.acked
        if dropped and not rejected_names:
            rejected = None
        lacked = self._lacked(held, want)
        if acked is self.sent or (dropped and rejected is None):
            acked = _leaving_out(held, lacked)
        return replace(
            self,
            sent=held,
            acked=acked,
            lacked=lacked,
            offered=want,
            kept=keep,
            due=NO_NAMES,
            rejected=rejected,
            rejected_names=rejected_names,
        )

    def _changed(self, scope: Resources, force: frozenset[str]) -> dict[str, XdsResource]:
        if WILDCARD in self.due:
            return dict(scope)
        sent = self.sent
        changed = {
            name: resource
            for name, resource in scope.items()
            if (before := sent.get(name)) is not resource
            and (before is None or before.version != resource.version)
        }
        changed |= {name: scope[name] for name in (*force, *self.due) if name in scope}
        return changed

    def _lacked(self, held: Resources, want: Resources) -> frozenset[str]:
        """Of `held` what is kept although the peer accepted no version of it. It may have taken it:
        Envoy takes the good parts of a response that it rejects.
        """
        if not (self.lacked or self.rejected_names):
            return NO_NAMES
        never = self.lacked | (self.rejected_names - self.acked.keys())
        return frozenset(name for name in never if name in held and name not in want)

    def _absent(self, held: Resources) -> frozenset[str]:
        if not self.dialect.answers_absent_names:
            return NO_NAMES
        return NAMES.missing(self.names, held)

    def _sending(
        self,
        response: DeltaResponse,
        held: Resources,
        absent: frozenset[str],
        want: Resources,
        keep: frozenset[str],
    ) -> DeltaSender:
        rejected_names = self.rejected_names
        if rejected_names:
            again = {resource.name for resource in response.resources}.union(response.removed)
            if not self.dialect.resends_rejected and not rejected_names.isdisjoint(again):
                # KDS does not say which resource it refused: a touched batch counts as cured,
                # unless the answer says otherwise.
                again |= rejected_names
            rejected_names = rejected_names.intersection(want) - again
        return replace(
            self,
            sent=held,
            responses=self.responses + 1,
            flight=response,
            absent=absent,
            due=NO_NAMES,
            owed=False,
            offered=want,
            kept=keep,
            rejected=self.rejected if rejected_names else None,
            rejected_names=rejected_names,
            rejected_removed=NO_NAMES,
            lacked=self._lacked(held, want),
        )


def _leaving_out(resources: Resources, names: frozenset[str]) -> Resources:
    if not names:
        return resources
    return {name: resource for name, resource in resources.items() if name not in names}


def _names(subscribe: Iterable[str]) -> frozenset[str]:
    """Interned: a thousand proxies that subscribe to the same services share the strings."""
    return frozenset(intern(name) for name in subscribe if name != WILDCARD) or NO_NAMES


def _shortened(message: str) -> str:
    """Beginning and end: Envoy names the resource first and the reason last, and between them it
    writes out the whole resource.
    """
    if len(message) <= MESSAGE_MAX:
        return message
    left_out = " [...] "
    return message[:MESSAGE_HEAD] + left_out + message[MESSAGE_HEAD + len(left_out) - MESSAGE_MAX :]


def _bounded(names: frozenset[str], type_url: str) -> frozenset[str]:
    if len(names) > NAMES_MAX:
        raise RemoteProtocolError(
            f"{len(names)} names subscribed in {type_url}; at most {NAMES_MAX} are allowed: "
            "subscribe to '*' instead"
        )
    return names
