"""The sending side of state-of-the-world xDS, on the machine of the delta variant.

What differs is said here. A request names all that the peer wants by now, so subscribing and
unsubscribing is a difference. A response of clusters or listeners states all of them, and what it
leaves out is gone; one of endpoints or secrets may hold those that changed. Who comes back brings a
version and no names: what it holds is not known, so it is sent everything, and nothing before that
is complete.

The books stay those of `DeltaSender`: `flight` holds the difference alone, so that a rejection
names what was new in the rejected response.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from xds.delta_sender import (
    ADS_DIALECT,
    WILDCARD,
    DeltaSender,
)
from xds.difference import NO_NAMES
from xds.snapshot import Resources, Step, versions_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.resource import XdsResource

SOTW_DIALECT = replace(ADS_DIALECT, resubscribing_resends=False, answers_absent_names=False)
SOTW_NAMED_DIALECT = replace(SOTW_DIALECT, empty_means_all=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SotwSender(DeltaSender):
    """`brought` is True for a peer that accepted a version on an earlier stream. `taken` are parts
    of rejected responses that no rejection named, since the last that was accepted.
    """

    brought: bool = False
    taken: Resources = field(default_factory=dict)

    @property
    def blind(self) -> bool:
        return self.brought and self.owed

    def offer(
        self,
        want: Resources,
        nonce: str,
        *,
        force: frozenset[str] = NO_NAMES,
        keep: frozenset[str] = NO_NAMES,
        step: Step | None = None,
    ) -> tuple[DeltaSender, DeltaResponse | None]:
        after, change = DeltaSender.offer(self, want, nonce, force=force, keep=keep, step=step)
        if change is None:
            return after, None
        if self.dialect.empty_means_all:
            shown = tuple(after.sent[name] for name in sorted(after.sent))
        elif change.resources or self.owed:
            shown = change.resources
        else:  # The peer drops an assignment or a secret by itself, with what used it.
            quiet = replace(after._on_ack(change), responses=self.responses, acks=self.acks)
            return quiet, None
        return after, replace(change, resources=shown, version=versions_digest(after.sent))

    def _with_kept(self, scope: Resources, keep: frozenset[str]) -> Resources:
        """A kept name stands in the response, or it would be gone: as the peer last accepted it.

        Where it accepted none, it may have taken what it was sent: Envoy takes the good parts of a
        response that it rejects, and names the bad ones.
        """
        kept = {name: self.sent[name] for name in keep if name in self.sent and name not in scope}
        for name in self.rejected_names & kept.keys():
            if name in self.acked:
                kept[name] = self.acked[name]
            elif name in self.taken:
                kept[name] = self.taken[name]
            elif name in (self.rejected or ""):
                del kept[name]
        return {**scope, **kept} if kept else scope

    def _on_ack(self, flight: DeltaResponse) -> DeltaSender:
        return replace(DeltaSender._on_ack(self, flight), taken={})  # type: ignore[call-arg]

    def _on_nack(self, flight: DeltaResponse, message: str) -> DeltaSender:
        parts = {r.name: r for r in flight.resources if r.name not in message}
        after = DeltaSender._on_nack(self, flight, message)
        return replace(after, taken={**self.taken, **parts})  # type: ignore[call-arg]

    def _lacked(self, _held: Resources, _want: Resources) -> frozenset[str]:
        """What is kept is stated, and so accepted with the response."""
        return NO_NAMES

    def _restated(self, held: Resources, keep: frozenset[str]) -> Mapping[str, XdsResource]:
        """To a peer that took the good parts of what it rejected, it is a change as any other."""
        sent = self.sent
        moved = (name for name in self.rejected_names & keep if name in held and name in sent)
        return {name: held[name] for name in moved if held[name].version != sent[name].version}


def received(sender: DeltaSender, request: DeltaRequest) -> tuple[DeltaSender, DeltaRequest]:
    """The sender for a state-of-the-world request, and the request as a difference.

    Names count also with a stale nonce: a subscription may grow before the first answer was read.
    """
    if not sender.subscribed:
        everything = sender.dialect.empty_means_all
        sender = SotwSender(
            type_url=sender.type_url,
            dialect=SOTW_DIALECT if everything else SOTW_NAMED_DIALECT,
            brought=bool(request.version),
        )
    wanted = frozenset(request.wanted or ())
    had = sender.names | {WILDCARD} if sender.wildcard else sender.names
    if not wanted and sender.wildcard:  # An empty list of clusters or listeners stays "all".
        wanted = had
    difference = replace(
        request,
        wanted=None,
        version="",
        subscribe=tuple(sorted(wanted - had)),
        unsubscribe=tuple(sorted(had - wanted)),
    )
    return sender, difference
