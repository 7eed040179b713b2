"""Delivers events to the global's pure step and carries out its effects.

Loads commits in a thread and serves zones over KDS. Nothing is served before a revision is loaded:
zones are refused with UNAVAILABLE until then.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from reconciler.kds.admission import Caller, Proof, Refusal, prove
from reconciler.refusal import words_for_proxy, zone_by_name, zone_by_token
from reconciler.runtime.log import fault_of_ours, note
from reconciler.runtime.loop_watch import LoopWatch
from reconciler.runtime.outbox import Outbox
from reconciler.runtime.timer import Timer
from reconciler.steps import global_state as g
from reconciler.steps.global_step import step
from reconciler.steps.global_zones import refusal
from reconciler.store import MADE_GOOD
from reconciler.stored import decode_stored, encode_rows
from xds.turns import Turns

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from reconciler.api.refusing import RefusingDoor
    from reconciler.kds.admin import AdminKind
    from reconciler.kds.server import KdsServer
    from reconciler.model.resource import MeshResource
    from reconciler.revision_loader import RevisionLoader
    from reconciler.state import MeshState
    from reconciler.status.relay import StatusRelay
    from reconciler.store import Store
    from reconciler.stored import Row, Rows, Value
    from xds.discovery import DeltaRequest, DeltaResponse

UNAUTHENTICATED, INTERNAL = 16, 13  # gRPC status numbers

LOAD_RETRY_S = 5.0
RELAYED = "relayed"  # kind of the rows


class GlobalControlPlane:
    """Wires repository, loader and zones around one `GlobalState`."""

    def __init__(
        self, settings: g.GlobalSettings, loader: RevisionLoader, store: Store, log: logging.Logger
    ) -> None:
        self.state = g.GlobalState(settings=settings)
        self.loader = loader
        self.store = store
        self.log = log
        self.turns = Turns()  # what zones say and are sent, and what is done for them
        self.kds: KdsServer | None = None
        self.refusing: RefusingDoor | None = None
        self.relay: StatusRelay | None = None
        self.ref_faults: Mapping[str, str] = {}  # found at start, by ref
        self.secrets_error = ""  # why secrets cannot be looked at now
        self.changed = asyncio.Event()  # replaced at every change; for whoever waits
        self.crash = asyncio.get_running_loop().create_future()  # a fault of ours: ends the process
        self.stalls = LoopWatch()
        self.outbox: Outbox[g.Effect, Value] = Outbox(
            self._rows_of, self._write, self._carry_out, self._store_said
        )
        self._timer = Timer(lambda now: self.deliver(g.Tick(now)))
        self.newest: str | None = None  # where the branch was when last looked at
        self._offer_asked = False
        self._loads: set[asyncio.Task[None]] = set()

    def deliver(self, event: g.Event) -> None:
        """One decision. Its effects go out in order, and none before what was to be written."""
        self.state, effects = step(self.state, event)
        self.outbox.add(effects)
        if self.relay is not None:
            self.relay.look(self.state.zones)
        self._wake_waiters()

    def _wake_waiters(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    # --- KdsEvents, called by the KDS server on the loop ---

    def zone_opened(self, session: str, caller: Caller, *, downward: bool) -> Refusal | None:
        """Who proves to be the zone it names may come in, once there is a revision to give."""
        proof = self._admitted(caller)
        if isinstance(proof, Refusal):
            return proof
        event = g.ZoneOpened(
            session,
            caller.zone,
            downward,
            proof.identity,
            time.time(),
            caller.features,
            proof,
        )
        self.deliver(event)
        return None

    def zone_admitted(self, caller: Caller) -> Refusal | None:
        proof = self._admitted(caller)
        return proof if isinstance(proof, Refusal) else None

    def proxy_came(self, caller: Caller) -> str:
        return self._refuse(zone_by_token(caller.authorization, self._zones()))

    def refuse(self, request: Mapping[str, object]) -> str:
        """The same for a bootstrap (RefusalSource)."""
        zones, token = self._zones(), request.get("dataplaneToken")
        by_token = zone_by_token(token, zones) if isinstance(token, str) else ""
        return self._refuse(by_token or zone_by_name(request, zones))

    def _refuse(self, zone: str) -> str:
        text = words_for_proxy(str(self.loader.mirror.address), self._zones(), zone)
        note(self.log, "proxy.refused", zone=zone, reason="the global serves zones only")
        return text

    def _zones(self) -> Mapping[str, MeshState]:
        return {record.name: record.owned for record in self.state.zones.values()}

    def crowded(self, why: str) -> None:
        note(self.log, "door.refused", reason=why)

    def health(self, caller: Caller) -> Refusal | None:
        refused = self.zone_admitted(caller)
        if refused is None:
            self.deliver(g.ZoneHealthy(caller.zone, time.time()))
        return refused

    def _admitted(self, caller: Caller) -> Proof | Refusal:
        """Keys come with the revision; without one nobody is let in."""
        state, proof = self.state, Proof("")
        refused = refusal(state, caller.zone, "") if state.published is None else None
        if state.published is not None:
            settings, now = state.published.settings, time.time()
            found = prove(state.keys, settings, caller.zone, caller.authorization, caller.peer, now)
            if isinstance(found, str):
                refused = UNAUTHENTICATED, found
            else:
                proof = found
                refused = refusal(state, caller.zone, proof.identity)
        if refused is None:
            return proof
        note(self.log, "zone.refused", zone=caller.zone, peer=caller.peer, reason=refused[1])
        return Refusal(*refused)

    def subscription(self, session: str, request: DeltaRequest) -> None:
        self.deliver(g.ZoneSubscribed(session, request, time.time()))

    def published(self, session: str, response: DeltaResponse, *, more: bool) -> None:
        self.deliver(g.ZonePublished(session, response, time.time(), more))

    def closed(self, session: str) -> None:
        self.deliver(g.ZoneClosed(session, time.time()))

    def admin_opened(self, session: str, caller: Caller, kind: AdminKind) -> None:
        proof = self._admitted(caller)
        if not isinstance(proof, Refusal):  # It was let in a moment ago.
            event = g.AdminOpened(session, caller.zone, kind, time.time(), proof)
            self.deliver(event)

    def admin_closed(self, session: str) -> None:
        self.deliver(g.AdminClosed(session))

    # --- effects ---

    def _carry_out(self, effect: g.Effect) -> None:
        try:
            self._do(effect)
        except Exception as error:
            self._not_done(effect, error)

    def _not_done(self, effect: g.Effect, error: Exception) -> None:
        """A fault of ours. A stream that lacks what was decided for it begins anew and is sent
        everything; without anything else this process would not know what it has done.
        """
        self.log.error("effect.failed", exc_info=error)
        match effect:
            case g.SendResponse(session) | g.SendRequest(session) if self.kds is not None:
                self.kds.close(session, INTERNAL, "a fault of the global; connect anew")
            case _ if not self.crash.done():
                self.crash.set_exception(error)

    def _do(self, effect: g.Effect) -> None:
        match effect:
            case g.Load():
                task = asyncio.get_running_loop().create_task(self._load(effect))
                self._loads.add(task)
                task.add_done_callback(self._load_ended)
            case g.SendResponse(session, response):
                if self.kds is not None:
                    self.kds.send_response(session, response)
            case g.SendRequest(session, request):
                if self.kds is not None:
                    self.kds.send_request(session, request)
            case g.CloseSession(session, code, message):
                if self.kds is not None:
                    self.kds.close(session, code, message)
            case g.RevisionInForce() | g.KeepAccepted() | g.KeepRelayed() | g.KeepMadeGood():
                raise AssertionError("the outbox writes")
            case g.OfferSoon():
                self._offer_soon()
            case g.WakeAt(at):
                self._timer.at(at)
            case g.Note(event, fields):
                note(self.log, event, **fields)

    def _offer_soon(self) -> None:
        """In its turn, so that sockets are served between two batches."""
        if not self._offer_asked:
            self._offer_asked = True
            self.turns.soon(self._offer)

    def _offer(self) -> None:
        self._offer_asked = False
        try:
            self.deliver(g.OfferDue())
        except Exception as error:  # Nobody would ask again, and zones would wait for ever.
            if not self.crash.done():
                self.crash.set_exception(error)

    def _rows_of(self, effect: g.Effect) -> Rows | None:
        match effect:
            case g.RevisionInForce(commit):
                where = str(self.loader.mirror.address).encode()
                return {("meta", "revision"): commit.encode(), ("meta", "repository"): where}
            case g.KeepAccepted(commit):
                return {("meta", "accepted"): commit.encode() if commit is not None else None}
            case g.KeepMadeGood():
                return MADE_GOOD
            case g.KeepRelayed(zone, put, drop):
                rows: dict[Row, Value | None] = {
                    (RELAYED, f"{zone}/{resource.key}"): resource for resource in put
                }
                return rows | {(RELAYED, f"{zone}/{key}"): None for key in drop}
            case _:
                return None

    def _write(self, rows: Rows) -> None:
        """In the outbox's thread."""
        self.store.write(encode_rows(rows))

    def relayed_lost(self) -> bool:
        """Whether what zones had sent is not here any more."""
        return not self.store.is_whole(RELAYED)

    def relayed(self) -> dict[str, tuple[MeshResource, ...]]:
        """What zones had sent for the others, from disk."""
        found: dict[str, list[MeshResource]] = {}
        for key, value in self.store.load_all(RELAYED).items():
            try:
                found.setdefault(key.partition("/")[0], []).append(decode_stored(value))
            except (ValueError, KeyError, TypeError) as error:  # its zone sends it again
                note(self.log, "store.unread_failed", kind=RELAYED, reason=f"{key}: {error}")
        return {zone: tuple(resources) for zone, resources in found.items()}

    def _store_said(self, error: str) -> None:
        note(self.log, "store.write_failed" if error else "store.write_recovered", reason=error)
        self._wake_waiters()

    async def _load(self, wanted: g.Load) -> None:
        """In a thread: reading, parsing and checking never hold the loop."""
        try:
            event = await asyncio.to_thread(self.loader.load, wanted)
        except Exception as error:  # a fault of ours must not stop every later commit
            self.log.exception("revision.load_failed")
            text = fault_of_ours(error)
            event = g.LoadFailed(wanted.commit, text)
        self.deliver(event)
        if isinstance(event, g.Loaded):
            await self._look_back(event.revision)
        if isinstance(event, g.LoadFailed):
            await asyncio.sleep(LOAD_RETRY_S)
            # Never what this one was: a newer commit may have failed meanwhile.
            self.deliver(g.RetryDue(self.newest))

    async def _look_back(self, revision: g.Revision) -> None:
        """When its files came and changed: nothing waits for that, and nothing depends on it."""
        paths = {place.path for place in revision.provenance.values()}
        try:
            await asyncio.to_thread(self.loader.history.follow, revision.commit, paths)
        except Exception:
            self.log.exception("history.read_failed")

    def _load_ended(self, task: asyncio.Task[None]) -> None:
        """What went wrong while a revision was put in force is nothing to go on from."""
        self._loads.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.crash.done():
            self.crash.set_exception(error)
