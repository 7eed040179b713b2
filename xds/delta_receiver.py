"""The receiving side of delta xDS for one resource type on one stream: no socket, no clock, no
role.

Keeps what the protocol needs and no resources: the owner applies what `on_response` hands out and
then answers with `ack` or `nack`. Used by the KDS client and server, the bench and the tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xds.copying import replace
from xds.delta_sender import WILDCARD
from xds.discovery import DeltaRequest, DeltaResponse, Node, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.resource import XdsResource


@dataclass(frozen=True, slots=True)
class Received:
    """One response as a change. An initial one is the complete state: what it does not name is
    gone.
    """

    added: tuple[XdsResource, ...]
    removed: tuple[str, ...]
    is_initial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaReceiver:
    """`node` goes whole into the subscription and by its id into every answer: a Kuma peer ends
    without one.
    """

    type_url: str
    node: Node
    names: tuple[str, ...] = (WILDCARD,)
    nonce: str = ""  # of the last response
    unanswered: bool = False
    answer: DeltaRequest | None = None  # the last ACK or NACK sent

    def subscribe(self, initial_versions: Mapping[str, str] | None = None) -> DeltaRequest:
        """The first request of the stream. Real Kuma peers ignore `initial_versions` (name ->
        version held).
        """
        return DeltaRequest(
            type_url=self.type_url,
            node=self.node,
            subscribe=self.names,
            initial_versions=initial_versions or {},
        )

    def on_response(self, response: DeltaResponse) -> tuple[DeltaReceiver, Received]:
        """What the response changes. Raises RemoteProtocolError if it is of another type.

        A second response before the first was answered is taken (a Kuma peer sends one when a
        repeated answer crosses its response); the next answer counts for both.
        """
        if response.type_url != self.type_url:
            raise RemoteProtocolError(
                f"response of type {response.type_url!r} on the subscription to {self.type_url!r}"
            )
        sent = {resource.name for resource in response.resources}
        received = Received(
            added=response.resources,
            removed=tuple(name for name in response.removed if name not in sent),
            is_initial=self.answer is None and not self.unanswered,
        )
        return replace(self, nonce=response.nonce, unanswered=True), received

    def ack(self) -> tuple[DeltaReceiver, DeltaRequest]:
        """Accepts the last response."""
        return self._answering(DeltaRequest(self.type_url, Node(self.node.id), nonce=self.nonce))

    def nack(self, message: str) -> tuple[DeltaReceiver, DeltaRequest]:
        """Rejects the last response, as Kuma does: with the wildcard stated again."""
        return self._answering(
            DeltaRequest(
                type_url=self.type_url,
                node=Node(self.node.id),
                subscribe=(WILDCARD,) if WILDCARD in self.names else (),
                nonce=self.nonce,
                error=message,
            )
        )

    def reack(self) -> DeltaRequest | None:
        """The last answer once more, None while there is none or a response waits for its own.

        A Kuma peer may lose the watch of a stream whose predecessor ended late; the repeated answer
        brings it back, and is replied to only if there is a difference.
        """
        return None if self.unanswered else self.answer

    def _answering(self, request: DeltaRequest) -> tuple[DeltaReceiver, DeltaRequest]:
        if not self.unanswered:
            raise AssertionError(f"nothing to answer in {self.type_url}")
        return replace(self, unanswered=False, answer=request), request
