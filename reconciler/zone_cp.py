"""The zone control plane's process: delivers events to the pure step and carries out its effects.

One event loop owns all state. Servers call in on the loop; whatever takes long runs elsewhere and comes back as an
event. Effects are carried out in the order the step gave them: persist, then send.
"""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import logging
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from reconciler.ca.authority import AuthorityPem, issue_workload
from reconciler.kds.client import KdsClient
from reconciler.model.spec import ZoneIngressSpec
from reconciler.proxy_token import verify_proxy
from reconciler.runtime.log import note
from reconciler.steps import zone_state as z
from reconciler.steps.zone_step import step
from reconciler.stored import decode_stored, encode_stored
from xds.build.secrets import ca_secret, identity_secret
from xds.resource import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.status.follower import StatusFollower
    from reconciler.store import Store
    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.server import AdsServer

KINDS = ("policy", "relayed", "local")
RESOLVE_INTERVAL_S = 10.0


class ZoneControlPlane:
    """Wires store, global, proxies and status around one `ZoneState`."""

    def __init__(self, settings: z.ZoneSettings, store: Store, log: logging.Logger) -> None:
        self.state = z.ZoneState(settings=settings)
        self.store = store
        self.log = log
        self.ads: AdsServer | None = None
        self.client: KdsClient | None = None
        self.status: StatusFollower | None = None
        self.stopping = False
        self.changed = asyncio.Event()  # replaced at every change; for whoever waits
        self.events = 0
        self._wakes: list[float] = []
        self._timer: asyncio.TimerHandle | None = None
        self._build_asked = False

    # --- start and stop ---

    def restore(self) -> None:
        """Take up what the disk holds; before this nothing is served or published."""
        kept = {
            kind: tuple(map(decode_stored, self.store.load_all(kind).values())) for kind in KINDS
        }
        revision = self.store.load_all("meta").get("revision")
        self.deliver(
            z.Restored(
                time.time(),
                kept["policy"],
                kept["relayed"],
                kept["local"],
                revision.decode() if revision is not None else None,
            )
        )

    def stop(self) -> None:
        """From here on a closing stream is our doing: no endpoint is taken out for it."""
        self.stopping = True
        if self._timer is not None:
            self._timer.cancel()

    # --- events ---

    def deliver(self, event: z.Event) -> None:
        """One decision; its effects are carried out before the next event is looked at."""
        self.events += 1
        self.state, effects = step(self.state, event)
        for effect in effects:
            self._carry_out(effect)
        if effects:
            self.changed.set()
            self.changed = asyncio.Event()

    # AdsEvents, called by the ADS server on the loop

    def opened(self, stream: str, authorization: str | None) -> None:
        self.deliver(z.ProxyOpened(stream, authorization))

    def request(self, stream: str, request: DeltaRequest) -> None:
        self.deliver(z.ProxyRequest(stream, request, time.time()))

    def closed(self, stream: str, by_peer: bool) -> None:  # noqa: FBT001 - the protocol's signature
        if not self.stopping:
            self.deliver(z.ProxyClosed(stream, by_peer, time.time()))

    # --- effects ---

    def _carry_out(self, effect: z.Effect) -> None:
        match effect:
            case z.Persist():
                self._persist(effect)
            case z.ToProxy(stream, response):
                if self.ads is not None:
                    self.ads.send(stream, response)
            case z.CloseStream(stream, code, message):
                if self.ads is not None:
                    self.ads.close(stream, code, message)
            case z.ToGlobalRequest(session, request):
                if self.client is not None:
                    self.client.send_request(session, request)
            case z.ToGlobalResponse(session, response):
                if self.client is not None:
                    self.client.send_response(session, response)
            case z.LeaveGlobal(session, reason):
                if self.client is not None:
                    self.client.leave(session, reason)
            case z.IssueCertificate():
                asyncio.get_running_loop().call_soon(self._issue, effect)
            case z.StatusWanted(status):
                if self.status is not None:
                    self.status.want(status)
            case z.BuildSoon():
                self._build_soon()
            case z.WakeAt(at):
                self._wake_at(at)
            case z.Note(event, fields):
                note(self.log, event, **fields)

    def _persist(self, effect: z.Persist) -> None:
        put = {str(resource.key): encode_stored(resource) for resource in effect.put}
        meta = {} if effect.revision is None else {"revision": effect.revision.encode()}
        self.store.write(effect.kind, put, [str(key) for key in effect.drop], meta)

    def _build_soon(self) -> None:
        """Once a turn of the loop, so that sockets are served between two batches."""
        if not self._build_asked:
            self._build_asked = True
            asyncio.get_running_loop().call_soon(self._build)

    def _build(self) -> None:
        self._build_asked = False
        if not self.stopping:
            self.deliver(z.BuildDue(time.time()))

    def _wake_at(self, at: float) -> None:
        """One timer for all moments asked for: the earliest."""
        heapq.heappush(self._wakes, at)
        if self._wakes[0] == at:
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay = max(self._wakes[0] - time.time(), 0.0)
        self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = time.time()
        while self._wakes and self._wakes[0] <= now:
            heapq.heappop(self._wakes)
        if self.stopping:
            return
        self.deliver(z.Tick(now))
        if self._wakes and self._timer is None:
            self._set_timer()

    def _issue(self, effect: z.IssueCertificate) -> None:
        now = time.time()
        try:
            ca = AuthorityPem(effect.ca_cert_pem, effect.ca_key_pem)
            issued = issue_workload(effect.mesh, ca, effect.uris, now, effect.lifetime_s)
        except ValueError as error:
            self.deliver(z.IssueFailed(effect.node_id, str(error), now))
            return
        certificate = z.Certificate(
            identity_secret(effect.identity_secret, issued.chain_pem, issued.key_pem),
            ca_secret(effect.ca_secret, effect.ca_cert_pem),
            effect.uris,
            effect.backend,
            digest((effect.ca_cert_pem,)),
            issued.renew_at,
            issued.not_after,
        )
        self.deliver(z.CertificateIssued(effect.node_id, certificate, now))
