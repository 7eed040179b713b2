"""The global control plane's process: delivers events to the pure step and carries out its effects.

Follows the repository, loads commits in a thread, serves zones over KDS and answers who asks on the control socket.
Nothing is served before a revision is loaded: zones are refused with UNAVAILABLE until then.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from reconciler.kds.server import Refusal
from reconciler.runtime.log import note
from reconciler.steps import global_state as g
from reconciler.steps.global_step import refusal, step

if TYPE_CHECKING:
    import logging

    from reconciler.kds.server import KdsServer
    from reconciler.revision_loader import RevisionLoader
    from xds.discovery import DeltaRequest, DeltaResponse

GLOBAL_TO_ZONE = "global-to-zone"


class GlobalControlPlane:
    """Wires repository, loader and zones around one `GlobalState`."""

    def __init__(
        self, settings: g.GlobalSettings, loader: RevisionLoader, log: logging.Logger
    ) -> None:
        self.state = g.GlobalState(settings=settings)
        self.loader = loader
        self.log = log
        self.kds: KdsServer | None = None
        self.changed = asyncio.Event()  # replaced at every change; for whoever waits
        self._loads: set[asyncio.Task[None]] = set()

    def deliver(self, event: g.Event) -> None:
        """One decision; its effects are carried out before the next event is looked at."""
        self.state, effects = step(self.state, event)
        for effect in effects:
            self._carry_out(effect)
        self.changed.set()
        self.changed = asyncio.Event()

    # --- KdsEvents, called by the KDS server on the loop ---

    def zone_opened(self, session: str, zone: str, rpc: str, identity: str) -> Refusal | None:
        """The server has proven `identity`; this decides whether the zone may come in now."""
        refused = refusal(self.state, zone, identity)
        if refused is not None:
            note(self.log, "zone.refused", zone=zone, reason=refused[1])
            return Refusal(*refused)
        self.deliver(g.ZoneOpened(session, zone, rpc == GLOBAL_TO_ZONE, identity, time.time()))
        return None

    def subscription(self, session: str, request: DeltaRequest) -> None:
        self.deliver(g.ZoneSubscribed(session, request))

    def published(self, session: str, response: DeltaResponse) -> None:
        self.deliver(g.ZonePublished(session, response))

    def closed(self, session: str) -> None:
        self.deliver(g.ZoneClosed(session, time.time()))

    # --- effects ---

    def _carry_out(self, effect: g.Effect) -> None:
        match effect:
            case g.Load(commit, published):
                task = asyncio.get_running_loop().create_task(self._load(commit, published))
                self._loads.add(task)
                task.add_done_callback(self._loads.discard)
            case g.SendResponse(session, response):
                if self.kds is not None:
                    self.kds.send_response(session, response)
            case g.SendRequest(session, request):
                if self.kds is not None:
                    self.kds.send_request(session, request)
            case g.CloseSession(session, code, message):
                if self.kds is not None:
                    self.kds.close(session, code, message)
            case g.RevisionInForce():
                pass  # Announced by `changed`; kept by Git itself.
            case g.Note(event, fields):
                note(self.log, event, **fields)

    async def _load(self, commit: str, published: g.ReconcileKey | None) -> None:
        """In a thread: reading, parsing and checking never hold the loop."""
        self.deliver(await asyncio.to_thread(self.loader.load, commit, published))
