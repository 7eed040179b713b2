"""Delivers events to the zone's pure step and carries out its effects.

One event loop owns all state. Servers call in on the loop; whatever takes long runs elsewhere and
comes back as an event. Effects are carried out in the order the step gave them: persist, then send.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from reconciler.rest.zone_times import Arrivals
from reconciler.runtime.allocator import give_back
from reconciler.runtime.log import note
from reconciler.runtime.loop_watch import LoopWatch
from reconciler.runtime.outbox import Outbox
from reconciler.runtime.timer import Timer
from reconciler.steps import zone_build, zone_vips
from reconciler.steps import zone_state as z
from reconciler.steps.zone_global import redial_least_s
from reconciler.steps.zone_step import step
from reconciler.store import MADE_GOOD
from reconciler.stored import decode_stored, encode_rows
from reconciler.vips.allocation import Allocations
from reconciler.vips.stored import allocations_of
from reconciler.zone_cp.certificates import admin_certificate, workload_certificate
from xds.difference import forget
from xds.health_server import HealthServer
from xds.turns import Turns

if TYPE_CHECKING:
    import logging

    from reconciler.api.door import Door
    from reconciler.kds.client import KdsClient
    from reconciler.model.resource import MeshResource
    from reconciler.status.follower import StatusFollower
    from reconciler.steps.zone_settings import ZoneSettings
    from reconciler.store import Store
    from reconciler.stored import Row, Rows, Value
    from reconciler.zone_admin import ZoneAdmin
    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.health import HealthReport, Introduction
    from xds.server import AdsServer

BUILD_S = 0.003  # of a turn, for batches of proxies
GIVE_BACK_S = 5.0  # from the end of a push to when what is free after it is given back
KINDS = ("policy", "relayed", "local")
VIPS = "all"  # the one row of what was given
NO_POLICIES = "this zone has not received its policies yet"


class ZoneControlPlane:
    """Wires store, global, proxies and status around one `ZoneState`."""

    def __init__(self, settings: ZoneSettings, store: Store, log: logging.Logger) -> None:
        self.state = z.ZoneState(settings=settings)
        self.store = store
        self.log = log
        self.ads: AdsServer | None = None
        self.turns = Turns()  # what proxies ask for, and what is done for them
        self.health = HealthServer(self, self.turns)
        self.client: KdsClient | None = None
        self.status_follower: StatusFollower | None = None
        self.door: Door | None = None
        self.admin_ca: bytes | None = None  # of admin access to proxies; None: there is none
        self.admin: ZoneAdmin | None = None
        self.global_error = ""
        self.stalls = LoopWatch()
        self.stopping = False
        self.names_wanted = asyncio.Event()  # host names without an address have come
        self.changed = asyncio.Event()  # replaced at every change; for whoever waits
        self.events = 0
        self.arrivals = Arrivals()  # when what it holds came
        self.outbox: Outbox[z.Effect, Value] = Outbox(
            self._rows_of, self._write, self._carry_out, self._store_said
        )
        self._timer = Timer(self._tick)
        self._build_asked = False
        self._building = False
        self._gives_back_at: float | None = None  # once something was forgotten

    # --- start and stop ---

    def restore(self) -> None:
        """Take up what the disk holds; before this nothing is served or published. Without all of
        its policies no revision is in force: the global gives it again.
        """
        kept = {kind: self._kept(kind) for kind in KINDS}
        revision = self.store.load_all("meta").get("revision", b"").decode()
        lost = {kind for kind in KINDS if kept[kind] is None or not self.store.is_whole(kind)}
        if kept["policy"]:  # They come and go as a whole, with their revision.
            lost.discard("policy")
        now = time.time()
        for resources in kept.values():
            self.arrivals.note(resources or (), (), now)
        vips = self._kept_vips()
        if vips is None or not self.store.is_whole(zone_vips.KIND):
            lost.add(zone_vips.KIND)
        self.deliver(
            z.Restored(
                now,
                kept["policy"] or (),
                kept["relayed"] or (),
                kept["local"] or (),
                revision if revision and "policy" not in lost else None,
                frozenset(lost),
                vips or Allocations(),
            )
        )

    def _kept_vips(self) -> Allocations | None:
        """None: they were lost. Others are given then, and not in silence."""
        kept = self.store.load_all(zone_vips.KIND).get(VIPS)
        if kept is None:
            return Allocations()
        try:
            return allocations_of(kept.decode())
        except ValueError as error:
            note(self.log, "store.unread_failed", kind=zone_vips.KIND, reason=str(error))
            return None

    def _kept(self, kind: str) -> tuple[MeshResource, ...] | None:
        """None: rows that this program cannot read, of which nothing is used."""
        try:
            return tuple(map(decode_stored, self.store.load_all(kind).values()))
        except (ValueError, KeyError, TypeError) as error:
            note(self.log, "store.unread_failed", kind=kind, reason=str(error))
            return None

    def unready(self) -> str:
        """Why proxies are not served yet; "" once they are."""
        return "" if self.state.policy.by_key else NO_POLICIES

    def stop(self) -> None:
        """From here on a closing stream is our doing: no endpoint is taken out for it."""
        self.stopping = True
        self.changed.set()
        self._timer.stop()

    # --- events ---

    def deliver(self, event: z.Event) -> None:
        """One decision. Its effects go out in order, and none before what was to be written."""
        self.events += 1
        self.state, effects = step(self.state, event)
        self.outbox.add(effects)
        if effects:
            self.changed.set()
            self.changed = asyncio.Event()

    # AdsEvents, called by the ADS server on the loop

    def opened(self, stream: str, authorization: str | None) -> None:
        self.deliver(z.ProxyOpened(stream, authorization))

    def request(self, stream: str, request: DeltaRequest) -> None:
        self.deliver(z.ProxyRequest(stream, request, time.time()))

    def closed(self, stream: str, by_peer: bool) -> None:
        """In its turn: when a network is cut, a thousand streams close at once."""
        if not self.stopping:
            self.turns.soon(partial(self.deliver, z.ProxyClosed(stream, by_peer, time.time())))

    # HealthEvents, called by the HDS server on the loop

    def health_opened(self, stream: str, authorization: str | None) -> None:
        self.deliver(z.HealthOpened(stream, authorization, time.time()))

    def health_said(self, stream: str, message: Introduction | HealthReport) -> None:
        self.deliver(z.HealthSaid(stream, message, time.time()))

    def health_closed(self, stream: str) -> None:
        if not self.stopping:
            self.deliver(z.HealthClosed(stream))

    # KdsClientEvents, called by the KDS client on the loop

    def connected(self, session: str) -> None:
        self.deliver(z.GlobalConnected(session, time.time()))

    def response(self, session: str, response: DeltaResponse, *, more: bool) -> None:
        self.deliver(z.GlobalResponse(session, response, time.time(), more))

    def global_request(self, session: str, request: DeltaRequest) -> None:
        self.deliver(z.GlobalRequest(session, request))

    def disconnected(self, session: str, reason: str) -> None:
        if self.stopping:
            return
        self.global_error = reason
        if session:
            self.deliver(z.GlobalDisconnected(session, reason, time.time()))
        else:
            note(self.log, "global.dial_failed", reason=reason)

    def redial_least_s(self) -> float:
        return redial_least_s(self.state)

    # --- effects ---

    def _rows_of(self, effect: z.Effect) -> Rows | None:
        if isinstance(effect, z.Persist):
            self.arrivals.note(effect.put, effect.drop, time.time())
        return rows_of(effect)

    def _carry_out(self, effect: z.Effect) -> None:
        match effect:
            case z.Persist() | z.PersistVips() | z.PersistMadeGood():
                raise AssertionError("the outbox writes")
            case z.ToProxy(stream, response):
                if self.ads is not None:
                    self.ads.send(stream, response)
            case z.CloseStream(stream, code, message):
                if self.ads is not None:
                    self.ads.close(stream, code, message)
            case z.AskHealth(stream, specifier):
                self.health.send(stream, specifier)
            case z.CloseHealth(stream, code, message):
                self.health.close(stream, code, message)
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
                self.turns.soon(partial(self._issue, effect))
            case z.IssueAdminCertificate():
                self.turns.soon(partial(self._issue_admin, effect))
            case z.StatusWanted(status):
                if self.status_follower is not None:
                    self.status_follower.want(status)
            case z.BuildSoon():
                self._build_soon()
            case z.LookUp():
                self.names_wanted.set()
            case z.WakeAt(at):
                self._timer.at(at)
            case z.Note(event, fields):
                note(self.log, event, **fields)

    def _write(self, rows: Rows) -> None:
        """In the outbox's thread."""
        self.store.write(encode_rows(rows))

    def _store_said(self, error: str) -> None:
        note(self.log, "store.write_failed" if error else "store.write_recovered", reason=error)

    def _build_soon(self) -> None:
        """In its turn, so that sockets are served between two of them."""
        if not self._build_asked:
            self._build_asked = True
            if not self._building:
                self.turns.soon(self._build)

    def _build(self) -> None:
        """As many batches as a turn has time for: of a change the first proxies take milliseconds,
        all that share what was built for them a tenth of one.
        """
        self._building, until = True, perf_counter() + BUILD_S
        try:
            while self._build_asked and not self.stopping and perf_counter() < until:
                self._build_asked = False
                self.deliver(z.BuildDue(time.time()))
        finally:
            self._building = False
            if self._build_asked:
                self.turns.soon(self._build)

    def _tick(self, now: float) -> None:
        if self.stopping:
            return
        self.deliver(z.Tick(now))
        if zone_build.is_quiet(self.state):
            self._rest(now)

    def _rest(self, now: float) -> None:
        """What only a push needs is forgotten after it; what is free then goes back a little later,
        for all pushes until then.
        """
        if forget():
            self.state.settings.builders.forget()
            if self._gives_back_at is None:
                self._gives_back_at = now + GIVE_BACK_S
                self._timer.at(self._gives_back_at)
        if self._gives_back_at is not None and now >= self._gives_back_at:
            self._gives_back_at = None
            give_back()

    def _issue(self, wanted: z.IssueCertificate) -> None:
        self.deliver(workload_certificate(wanted, time.time()))

    def _issue_admin(self, wanted: z.IssueAdminCertificate) -> None:
        assert self.admin_ca is not None, "asked for with admin_access only"
        self.deliver(admin_certificate(self.admin_ca, wanted, time.time()))


def rows_of(effect: z.Effect) -> Rows | None:
    """What an effect wants on disk; None when it is something else."""
    if isinstance(effect, z.PersistMadeGood):
        return MADE_GOOD
    if isinstance(effect, z.PersistVips):
        return {(zone_vips.KIND, VIPS): effect.allocations}
    if not isinstance(effect, z.Persist):
        return None
    rows: dict[Row, Value | None] = {
        (effect.kind, str(resource.key)): resource for resource in effect.put
    }
    rows |= {(effect.kind, str(key)): None for key in effect.drop}
    if effect.revision is not None:
        rows["meta", "revision"] = effect.revision.encode()
    return rows
