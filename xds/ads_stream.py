"""One proxy's ADS stream as a value, of either variant: four senders, one nonce counter, one order.

Make before break, so that no request is lost while a proxy moves from one snapshot to the next:

1. clusters that are new or changed, and right behind them the endpoints of exactly these (Envoy
   warms a changed cluster until its assignment comes, and does not ask for it again);
2. endpoints and secrets;
3. listeners, once every cluster they may use is there and warm: accepted, and its endpoints and
   secrets accepted;
4. what is gone: clusters once the listeners that used them are gone, endpoints once their cluster
   is, secrets last.

A rejected type holds up the others no longer than it must: rejected listeners keep the old clusters
alive, and a new cluster that is rejected keeps the old listeners; everything else proceeds. Envoy
asks for listeners only after the first clusters are initialised, so the first answer to a proxy
without listeners waits for nothing but the clusters being sent before it.

A proxy that comes back and speaks state of the world says a version and no names. Its clusters are
stated anew at once, so one that is gone leaves before the listeners that used it: what it held
cannot be kept, because it is not known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from xds.copying import replace
from xds.delta_sender import (
    ADS_DIALECT,
    ADS_NAMED_DIALECT,
    DIFFERENCES,
    NAMES,
    Acked,
    Answer,
    DeltaSender,
    Nacked,
)
from xds.difference import NO_NAMES
from xds.discovery import DeltaRequest, DeltaResponse, RemoteProtocolError
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET
from xds.snapshot import NO_RESOURCES, Resources, Snapshot
from xds.sotw_sender import SotwSender, received

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPES = (CLUSTER, ENDPOINT, SECRET, LISTENER)  # in sending order
OTHER_TYPES_MAX = 16  # types a client may ask for that are not served; each is answered empty


class Sync(StrEnum):
    """Where one type of one proxy stands against a snapshot."""

    IN_SYNC = "in_sync"
    PENDING = "pending"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class TypeSync:
    """`message` and `names` belong to a rejection: Envoy's words, and the resources of the rejected
    response.
    """

    sync: Sync
    sent: Resources
    acked: Resources
    message: str = ""
    names: frozenset[str] = NO_NAMES


class _Gate(StrEnum):
    OPEN = "open"
    WAIT = "wait"  # an answer of the proxy changes it
    SHUT = "shut"  # only another snapshot does


def _sender(type_url: str) -> DeltaSender:
    dialect = ADS_DIALECT if type_url in (CLUSTER, LISTENER) else ADS_NAMED_DIALECT
    return DeltaSender(type_url=type_url, dialect=dialect)


_CLUSTERS, _ENDPOINTS, _SECRETS, _LISTENERS = (_sender(type_url) for type_url in TYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdsStream:
    """`warming` are clusters sent whose endpoints are still to be sent (again) behind them."""

    clusters: DeltaSender = _CLUSTERS
    endpoints: DeltaSender = _ENDPOINTS
    secrets: DeltaSender = _SECRETS
    listeners: DeltaSender = _LISTENERS
    others: Mapping[str, DeltaSender] = field(default_factory=dict)
    responses: int = 0  # sent so far; the nonce, counted over all types
    answers: int = 0  # to them so far, good or bad
    warming: frozenset[str] = NO_NAMES
    quiet: Snapshot | None = None  # nothing to send for it before the next request

    @classmethod
    def open(cls) -> AdsStream:
        """A stream on which nothing was asked yet."""
        return cls()

    def on_request(self, request: DeltaRequest) -> tuple[AdsStream, Answer]:
        """Takes one request; the caller pushes the current snapshot afterwards, whatever the
        answer.

        Raises RemoteProtocolError for a request without a type, or beyond the limits on types and
        names.
        """
        sender = self._sender_of(request.type_url)
        if request.wanted is not None:
            sender, request = received(sender, request)
        sender, answer = sender.on_request(request)
        return self._with(sender, answered=isinstance(answer, (Acked, Nacked))), answer

    def push(
        self, snapshot: Snapshot | None, *, retire: bool = True
    ) -> tuple[AdsStream, tuple[DeltaResponse, ...]]:
        """What to send now, in this order, to bring the proxy to `snapshot`.

        None means "not known yet" and sends nothing. With `retire` False, what is gone stays at the
        proxy: connections that drain on a replaced listener still use its clusters; the caller
        pushes with True once the drain time is over (`drains` tells when it begins).
        """
        if snapshot is None or snapshot is self.quiet:
            return self, ()
        if self._awaits_answers(snapshot):
            return self, ()
        stream, responses = self, []
        steps: tuple[_Push, ...] = (_make, _shift, _break) if retire else (_make, _shift)
        if self._holds_all_but_endpoints(snapshot):
            steps = (_endpoints,)
        for step in steps:
            stream, sent = step(stream, snapshot)
            responses += sent
        if not responses and retire:
            stream = replace(stream, quiet=snapshot)
        return stream, tuple(responses)

    def _holds_all_but_endpoints(self, snapshot: Snapshot) -> bool:
        """And nothing that it holds beside them is gone: the endpoints that differ are all that
        there is to send, in any order.
        """
        return (
            not self.others
            and _holds_just(self.clusters, snapshot.clusters)
            and _holds_just(self.listeners, snapshot.listeners)
            and _holds_just(self.secrets, snapshot.secrets)
            and not _gone(self.endpoints, snapshot.endpoints)
        )

    def _awaits_answers(self, snapshot: Snapshot) -> bool:
        """All of it was offered, and an answer is not there yet: an ACK of one type while others
        are in flight, which most of them are.
        """
        return (
            not (self.warming or self.others)
            and self.in_flight
            and _is_offered(self.clusters, snapshot.clusters)
            and _is_offered(self.endpoints, snapshot.endpoints)
            and _is_offered(self.listeners, snapshot.listeners)
            and _is_offered(self.secrets, snapshot.secrets)
        )

    def retiring(self, snapshot: Snapshot) -> frozenset[str]:
        """Clusters the proxy still holds beside the snapshot's."""
        return _gone(self.clusters, snapshot.clusters)

    def drains(self, snapshot: Snapshot) -> bool:
        """Whether the proxy has the snapshot's listeners and still holds clusters of older ones."""
        return self.listeners.holds(snapshot.listeners) and bool(self.retiring(snapshot))

    @property
    def exchanges(self) -> int:
        """Responses and the answers to them, of all types: another number, other counters."""
        return self.responses + self.answers

    @property
    def in_flight(self) -> bool:
        """Whether the proxy has not answered all that it was sent."""
        return not (
            self.clusters.flight is None
            and self.endpoints.flight is None
            and self.secrets.flight is None
            and self.listeners.flight is None
        )

    @property
    def listening(self) -> bool:
        """Whether the proxy has answered its first listeners, and got the secrets it asked for."""
        secrets = self.secrets
        return bool(self.listeners.answered) and not (secrets.flight or secrets.owed or secrets.due)

    @property
    def rejects(self) -> bool:
        """Whether the proxy's last word on some type is a rejection."""
        clusters, endpoints = self.clusters, self.endpoints
        secrets, listeners = self.secrets, self.listeners
        if (
            clusters.rejected is None
            and endpoints.rejected is None
            and secrets.rejected is None
            and listeners.rejected is None
        ):
            return False
        return any(sender.rejects for sender in (clusters, endpoints, secrets, listeners))

    def is_current(self, snapshot: Snapshot) -> bool:
        """Whether `acked` has every type in sync; asked of all proxies many times a second."""
        return (
            _is_in_sync(self.clusters, snapshot.clusters, asked=self.clusters.subscribed)
            and _is_in_sync(self.listeners, snapshot.listeners, asked=self.listeners.subscribed)
            and _is_in_sync(self.secrets, snapshot.secrets, asked=True)
            and _is_in_sync(
                self.endpoints, snapshot.endpoints, asked=self._asked_all(snapshot.endpoints)
            )
        )

    def _asked_all(self, endpoints: Resources) -> bool:
        return self.endpoints.sent is endpoints or not NAMES.missing(
            endpoints, self.endpoints.names
        )

    def acked(self, snapshot: Snapshot) -> Mapping[str, TypeSync]:
        """How the proxy stands, by type URL, towards the snapshot that was pushed last."""
        endpoints_asked = self._asked_all(snapshot.endpoints)
        return {
            CLUSTER: _sync(self.clusters, snapshot.clusters, asked=self.clusters.subscribed),
            ENDPOINT: _sync(self.endpoints, snapshot.endpoints, asked=endpoints_asked),
            SECRET: _sync(self.secrets, snapshot.secrets, asked=True),
            LISTENER: _sync(self.listeners, snapshot.listeners, asked=self.listeners.subscribed),
        }

    def _sender_of(self, type_url: str) -> DeltaSender:
        if type_url == CLUSTER:
            return self.clusters
        if type_url == ENDPOINT:
            return self.endpoints
        if type_url == LISTENER:
            return self.listeners
        if type_url == SECRET:
            return self.secrets
        if not type_url:
            raise RemoteProtocolError("a discovery request without type_url")
        if type_url not in self.others and len(self.others) >= OTHER_TYPES_MAX:
            raise RemoteProtocolError(
                f"more than {OTHER_TYPES_MAX} types that are not served, the last is {type_url!r}"
            )
        return self.others.get(type_url) or _sender(type_url)

    def _with(
        self,
        sender: DeltaSender,
        *,
        sent: int = 0,
        answered: int = 0,
        warming: frozenset[str] | None = None,
    ) -> AdsStream:
        """With the sender as it is now; so there may be something to send again."""
        more: dict[str, Any] = {
            "responses": self.responses + sent,
            "answers": self.answers + answered,
            "warming": self.warming if warming is None else warming,
            "quiet": None,
        }
        type_url = sender.type_url
        if type_url == CLUSTER:
            return replace(self, clusters=sender, **more)
        if type_url == ENDPOINT:
            return replace(self, endpoints=sender, **more)
        if type_url == LISTENER:
            return replace(self, listeners=sender, **more)
        if type_url == SECRET:
            return replace(self, secrets=sender, **more)
        return replace(self, others={**self.others, type_url: sender}, **more)


_Step = tuple[AdsStream, list[DeltaResponse]]
_Push = Callable[[AdsStream, Snapshot], _Step]


def _is_offered(sender: DeltaSender, want: Resources) -> bool:
    """All of it, and nothing is asked for beside; or nothing was ever asked for."""
    if not sender.subscribed:
        return True
    return sender.offered is want and not (sender.kept or sender.owed or sender.due)


def _holds_just(sender: DeltaSender, want: Resources) -> bool:
    return sender.holds(want) and not sender.kept


def _endpoints(stream: AdsStream, snapshot: Snapshot) -> _Step:
    return _offer_endpoints(stream, snapshot, NO_NAMES)


def _make(stream: AdsStream, snapshot: Snapshot) -> _Step:
    """What is new or changed, beneath the listeners. Nothing is removed yet."""
    keep = _gone(stream.clusters, snapshot.clusters)
    stream, responses = _offer_clusters(stream, snapshot, keep)
    keep = _gone(stream.secrets, snapshot.secrets)
    stream, secrets = _offer(stream, stream.secrets, snapshot.secrets, keep=keep)
    return stream, responses + secrets


def _shift(stream: AdsStream, snapshot: Snapshot) -> _Step:
    """The listeners, once what they use is there."""
    responses: list[DeltaResponse] = []
    for other in stream.others.values():
        stream, sent = _offer(stream, other, NO_RESOURCES)
        responses += sent
    listeners = stream.listeners
    if not listeners.subscribed or listeners.flight is not None:
        return stream, responses
    want = snapshot.listeners
    gate = _Gate.OPEN if _unchanged(listeners, want) else _gate(stream, snapshot)
    if gate is _Gate.SHUT and listeners.blind:
        return stream, responses  # "No change" cannot be said: the peer's listeners are not known.
    if gate is _Gate.SHUT:
        want = listeners.sent  # A first request is answered all the same, with no change.
    if gate is not _Gate.WAIT:
        stream, sent = _offer(stream, listeners, want)
        responses += sent
    return stream, responses


def _break(stream: AdsStream, snapshot: Snapshot) -> _Step:
    """What is gone, once nothing uses it."""
    if not (stream.listeners.holds(snapshot.listeners) or _has_no_listeners(stream)):
        return stream, []
    stream, responses = _offer_clusters(stream, snapshot, NO_NAMES)
    if not stream.clusters.holds(snapshot.clusters):
        return stream, responses
    stream, endpoints = _offer_endpoints(stream, snapshot, NO_NAMES)
    stream, secrets = _offer(stream, stream.secrets, snapshot.secrets)
    return stream, responses + endpoints + secrets


def _has_no_listeners(stream: AdsStream) -> bool:
    """A proxy in state of the world that is new, or lost its first stream before it had any: it
    would wait 15 s for the endpoints of a cluster that is gone before it asks for listeners, and
    cannot be told that there are none. One that has listeners asks for them before it answers.
    """
    clusters = stream.clusters
    if not isinstance(clusters, SotwSender) or stream.listeners.subscribed:
        return False
    return not clusters.brought or bool(clusters.answered)


def _offer_clusters(stream: AdsStream, snapshot: Snapshot, keep: frozenset[str]) -> _Step:
    """Clusters, and right behind them the endpoints of those sent."""
    stream, responses = _offer(stream, stream.clusters, snapshot.clusters, keep=keep)
    if responses:
        # Also a cluster that is kept for now may be waiting for its endpoints.
        unknown = NAMES.missing(stream.warming, snapshot.endpoints)
        if unknown:
            unknown = NAMES.missing(unknown, stream.endpoints.sent)
            stream = replace(stream, warming=stream.warming - unknown)
    keep = _gone(stream.endpoints, snapshot.endpoints)
    stream, endpoints = _offer_endpoints(stream, snapshot, keep)
    return stream, responses + endpoints


def _offer_endpoints(stream: AdsStream, snapshot: Snapshot, keep: frozenset[str]) -> _Step:
    force, unasked = stream.warming, NAMES.missing(stream.warming, stream.endpoints.names)
    if unasked:
        force = NO_NAMES if len(unasked) == len(force) else force - unasked
    return _offer(stream, stream.endpoints, snapshot.endpoints, force=force, keep=keep)


def _offer(
    stream: AdsStream,
    sender: DeltaSender,
    want: Resources,
    *,
    force: frozenset[str] = NO_NAMES,
    keep: frozenset[str] = NO_NAMES,
) -> _Step:
    after, response = sender.offer(want, str(stream.responses + 1), force=force, keep=keep)
    if after is sender:
        return stream, []
    if response is None:
        return stream._with(after), []
    warming, flight = stream.warming, after.flight
    if flight is not None and after.type_url == CLUSTER:
        warming = NAMES.union(warming, NAMES.of(flight.resources))
    elif flight is not None and after.type_url == ENDPOINT and warming:
        warming = NAMES.without(warming, NAMES.of(flight.resources))
    return stream._with(after, sent=1, warming=warming), [response]


def _gone(sender: DeltaSender, want: Resources) -> frozenset[str]:
    """Names the peer was sent that are no longer wanted."""
    return NAMES.missing(sender.sent, want)


def _unchanged(sender: DeltaSender, want: Resources) -> bool:
    if sender.offered is want:
        return True
    found = DIFFERENCES.between(sender.sent, want, NO_NAMES)
    return not (found.put or found.removed)


def _gate(stream: AdsStream, snapshot: Snapshot) -> _Gate:
    """Whether the snapshot's listeners may go out: every cluster they may use must be there and
    warm.
    """
    clusters, endpoints, secrets = stream.clusters, stream.endpoints, stream.secrets
    if not clusters.subscribed:
        return _Gate.OPEN  # A client that never asks for clusters has none to wait for.
    if stream.listeners.owed and not (stream.listeners.sent or stream.listeners.blind):
        behind = NAMES.missing(snapshot.clusters, clusters.sent)
        return _Gate.WAIT if behind else _Gate.OPEN
    gate = _delivered(clusters, _missing(clusters, snapshot.clusters))
    if (
        gate is _Gate.SHUT
    ):  # Envoy accepts parts: it asks for the endpoints of a cluster it has taken.
        refused = _missing(clusters, snapshot.clusters) - endpoints.names
        gate = _delivered(clusters, refused)
    if gate is not _Gate.OPEN:
        return gate
    cold = _missing(endpoints, snapshot.endpoints)
    cold = frozenset([name for name in cold if name in snapshot.clusters]) if cold else cold
    gate = _delivered(endpoints, cold)
    if gate is not _Gate.OPEN:
        return gate
    return _delivered(secrets, _missing(secrets, snapshot.secrets) & secrets.names)


def _missing(sender: DeltaSender, want: Resources) -> frozenset[str]:
    """Wanted names of which the peer has accepted no version, or that are being taken from it."""
    unsent = NAMES.missing(want, sender.sent)
    if sender.acked is sender.sent:
        return unsent
    return unsent | NAMES.missing(want, sender.acked)


def _delivered(sender: DeltaSender, missing: frozenset[str]) -> _Gate:
    if not missing:
        return _Gate.OPEN
    return _Gate.SHUT if missing & sender.rejected_names else _Gate.WAIT


def _sync(sender: DeltaSender, want: Resources, *, asked: bool) -> TypeSync:
    sync = Sync.PENDING
    if sender.rejected is not None and sender.flight is None:
        sync = Sync.REJECTED
    elif _is_in_sync(sender, want, asked=asked):
        sync = Sync.IN_SYNC
    return TypeSync(sync, sender.sent, sender.acked, sender.rejected or "", sender.rejected_names)


def _is_in_sync(sender: DeltaSender, want: Resources, *, asked: bool) -> bool:
    """One that was never subscribed has rejected nothing."""
    return asked and (sender.holds(want) or not sender.subscribed)
