"""The zone control plane's process: delivers events to the pure step and carries out its effects.

One event loop owns all state. Servers call in on the loop; whatever takes long runs elsewhere and
comes back as an event. Effects are carried out in the order the step gave them: persist, then send.
"""

from __future__ import annotations

import asyncio
import heapq
import socket
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from reconciler.api.bootstrap_server import BootstrapAnswer, bootstrap_app
from reconciler.api.control_socket import control_app
from reconciler.api.diagnostics import Diagnostics, diagnostics_server
from reconciler.api.door import Behind, Door, reach
from reconciler.api.serving import HttpServer, tcp_socket, unix_socket
from reconciler.api.waiting import wait_for
from reconciler.arrival import Outcome, zone_outcome
from reconciler.bootstrap_answer import ZoneFacts, bootstrap_answer, leaving_proxy
from reconciler.ca.admin import issue_admin_server
from reconciler.ca.authority import AuthorityPem, issue_workload
from reconciler.figures import (
    ProcessFigures,
    admin_figures,
    door_figures,
    process_figures,
    status_figures,
    zone_figures,
)
from reconciler.inspection import NO_ZONE, Inspected, Inspection, outcome
from reconciler.kds.admin_client import AdminStreams
from reconciler.kds.client import Dial, KdsClient
from reconciler.model.proxy_rules import is_ip
from reconciler.model.spec import DataplaneSpec, ZoneIngressSpec
from reconciler.registration import node_id
from reconciler.runtime.log import NOTED, note
from reconciler.runtime.loop_watch import LoopWatch
from reconciler.runtime.outbox import Outbox
from reconciler.runtime.service_manager import ServiceManager
from reconciler.steps import zone_state as z
from reconciler.steps.zone_admission import may_leave
from reconciler.steps.zone_certificates import told
from reconciler.steps.zone_report import is_current, rejections, report_of
from reconciler.steps.zone_step import step
from reconciler.stored import decode_stored, encode_rows
from reconciler.warm_up import warm_up
from xds.build.secrets import identity_secret
from xds.health_server import HealthServer
from xds.resource import digest
from xds.server import AdsServer

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reconciler.api.door import DoorLimits
    from reconciler.ca.server_tls import ServerTls
    from reconciler.figures import Figure
    from reconciler.model.resource import MeshResource
    from reconciler.status.follower import StatusFollower
    from reconciler.store import Store
    from reconciler.stored import Row, Rows
    from reconciler.zone_admin import ZoneAdmin
    from xds.discovery import DeltaRequest, DeltaResponse
    from xds.health import HealthReport, Introduction
    from xds.server import AdsLimits

KINDS = ("policy", "relayed", "local")
NO_POLICIES = "this zone has not received its policies yet"
RESOLVE_INTERVAL_S = 10.0
RESOLVE_START_S = 5.0
LEAVE_MAX_S = 3.0  # a proxy that leaves waits no longer for its neighbours
PROXIES = ("Dataplane", "ZoneIngress")


class ZoneControlPlane:
    """Wires store, global, proxies and status around one `ZoneState`."""

    def __init__(self, settings: z.ZoneSettings, store: Store, log: logging.Logger) -> None:
        self.state = z.ZoneState(settings=settings)
        self.store = store
        self.log = log
        self.ads: AdsServer | None = None
        self.health = HealthServer(self)
        self.client: KdsClient | None = None
        self.status_follower: StatusFollower | None = None
        self.door: Door | None = None
        self.facts: ZoneFacts | None = None
        self.admin_ca: bytes | None = None  # of admin access to proxies; None: there is none
        self.admin: ZoneAdmin | None = None
        self.global_error = ""
        self.stalls = LoopWatch()
        self.stopping = False
        self.changed = asyncio.Event()  # replaced at every change; for whoever waits
        self.events = 0
        self.outbox: Outbox[z.Effect, MeshResource | bytes] = Outbox(
            rows_of, self._write, self._carry_out, self._store_said
        )
        self._wakes: list[float] = []
        self._timer: asyncio.TimerHandle | None = None
        self._build_asked = False

    # --- start and stop ---

    def restore(self) -> None:
        """Take up what the disk holds; before this nothing is served or published. Without all of
        its policies no revision is in force: the global gives it again.
        """
        kept = {kind: self._kept(kind) for kind in KINDS}
        revision = self.store.load_all("meta").get("revision")
        whole = kept["policy"] is not None and self.store.is_whole("policy")
        self.deliver(
            z.Restored(
                time.time(),
                kept["policy"] or (),
                kept["relayed"] or (),
                kept["local"] or (),
                revision.decode() if revision is not None and whole else None,
            )
        )

    def _kept(self, kind: str) -> tuple[MeshResource, ...] | None:
        """None: rows that this program cannot read, of which nothing is used."""
        try:
            return tuple(map(decode_stored, self.store.load_all(kind).values()))
        except (ValueError, KeyError, TypeError) as error:
            note(self.log, "store.unread_failed", kind=kind, reason=str(error))
            return None

    def stop(self) -> None:
        """From here on a closing stream is our doing: no endpoint is taken out for it."""
        self.stopping = True
        self.changed.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
        if not self.stopping:
            self.deliver(z.ProxyClosed(stream, by_peer, time.time()))

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
        self.deliver(z.GlobalConnected(session))

    def response(self, session: str, response: DeltaResponse) -> None:
        self.deliver(z.GlobalResponse(session, response, time.time()))

    def global_request(self, session: str, request: DeltaRequest) -> None:
        self.deliver(z.GlobalRequest(session, request))

    def disconnected(self, session: str, reason: str) -> None:
        if self.stopping:
            return
        self.global_error = reason
        if session:
            self.deliver(z.GlobalDisconnected(session, reason))
        else:
            note(self.log, "global.dial_failed", reason=reason)

    # BootstrapSource

    def bootstrap(self, request: Mapping[str, object], host: str, accept: str) -> BootstrapAnswer:
        if self.facts is None or self.unready():
            return BootstrapAnswer(503, f"{NO_POLICIES}; try again")
        found = bootstrap_answer(self.facts, self.state.merged, request, host, accept)
        if found.status != 200:
            note(self.log, "bootstrap.refused", status=found.status, reason=found.body)
        return BootstrapAnswer(found.status, found.body, found.content_type)

    def unreadable(self, status: int, reason: str) -> None:
        note(self.log, "bootstrap.refused", status=status, reason=reason)

    def crowded(self, why: str) -> None:
        note(self.log, "door.refused", reason=why)

    async def leave(self, request: Mapping[str, object]) -> BootstrapAnswer:
        """A proxy that is about to end; answered once its neighbours no longer call it."""
        key, token = leaving_proxy(request)
        now = time.time()
        refused = may_leave(self.state, key, token, now)
        if refused is not None:
            note(self.log, "leave.refused", proxy=str(key), reason=refused)
            return BootstrapAnswer(403, refused)
        self.deliver(z.ProxyLeaves(node_id(key.mesh, key.name), now))
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_MAX_S):
                while not (self._told() or self.stopping):
                    await self.changed.wait()
        return BootstrapAnswer(200, "the endpoints are out")

    def _told(self) -> bool:
        """Whether every proxy has acknowledged what was last computed. Costs nothing per proxy."""
        report = self.state.reported
        return self.state.report_due is None and (report is None or report.pending == 0)

    # ControlSource

    def status(self, *, proxies: bool) -> Mapping[str, object]:
        state = self.state
        report = report_of(state)
        found: dict[str, object] = {
            "role": "zone",
            "zone": state.settings.zone,
            "revision": state.revision,
            "connected": state.link.session is not None,
            "global_error": "" if state.link.session else self.global_error,
            "too_large": sorted(state.link.held),
            "refused_resources": {
                f"{type_} {name}": why
                for type_, refused in state.link.refused.items()
                for name, why in refused.items()
            },
            "store_error": self.outbox.error or self.store.loss,
            "warnings": list(told(state, time.time())),
            "status_error": self.status_follower.error if self.status_follower else "",
            "status_commits": self.status_follower.facts() if self.status_follower else None,
            "proxies": {
                "total": report.total,
                "acked": report.acked,
                "pending": report.pending,
                "rejected": report.rejected,
            },
            "rejections": [asdict(rejection) for rejection in report.rejections],
            "refused": dict(state.refused.items()),
            "rebuilt": dict(state.settings.builders.rebuilt),
            "events": self.events,
            "loop_stall_ms_max": self.stalls.longest_ms,
        }
        if proxies:
            found["proxy_list"] = [self._proxy_row(p) for p in state.proxies.values()]
        return found

    def _proxy_row(self, proxy: z.Proxy) -> dict[str, object]:
        refused = rejections(proxy)
        state = "rejected" if refused else "acknowledged" if is_current(proxy) else "pending"
        return {
            "proxy": proxy.node_id,
            "connected": proxy.stream is not None,
            "state": state if proxy.stream is not None else "away",
            "message": "; ".join(r.message for r in refused),
        }

    # DiagnosticsSource

    def unready(self) -> str:
        return "" if self.state.policy.by_key else NO_POLICIES

    def figures(self) -> Iterator[Figure]:
        process = ProcessFigures(
            role="zone",
            version=self.state.settings.version,
            events=NOTED,
            loop_longest_ms=self.stalls.longest_ms,
            loop_stalls=self.stalls.stalls,
            store_error=self.outbox.error,
            store_waiting=self.outbox.waiting,
        )
        yield from process_figures(process)
        yield from zone_figures(self.state)
        if (status := self.status_follower) is not None:
            yield from status_figures(status.state, len(status.errors))
        if self.door is not None:
            yield from door_figures(self.door.figures)
        if self.admin is not None:
            yield from admin_figures(self.admin.client.figures)

    async def inspect(self, asked: Inspection) -> Inspected:
        """Of a proxy of this zone."""
        zone = self.state.settings.zone
        if asked.zone not in ("", zone):
            text = f'this is zone "{zone}"; ask the global, or zone "{asked.zone}" itself'
            return Inspected(NO_ZONE, error=text)
        if self.admin is None:
            return Inspected(NO_ZONE, error="this zone has no admin access to its proxies")
        answer = await self.admin.respond(asked.question)
        return outcome(answer.body, answer.error)

    async def wait(self, commit: str, timeout_s: float) -> Mapping[str, object]:
        return await wait_for(self, lambda: zone_outcome(self.state, commit), timeout_s)

    def accept(self, commit: str) -> Mapping[str, object]:
        text = f"a zone has the commits its global gives it; accept {commit[:12]} there"
        return Outcome("refused", text).document()

    # --- effects ---

    def _carry_out(self, effect: z.Effect) -> None:
        match effect:
            case z.Persist():
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
                asyncio.get_running_loop().call_soon(self._issue, effect)
            case z.IssueAdminCertificate():
                asyncio.get_running_loop().call_soon(self._issue_admin, effect)
            case z.StatusWanted(status):
                if self.status_follower is not None:
                    self.status_follower.want(status)
            case z.BuildSoon():
                self._build_soon()
            case z.WakeAt(at):
                self._wake_at(at)
            case z.Note(event, fields):
                note(self.log, event, **fields)

    def _write(self, rows: Rows) -> None:
        """In the outbox's thread."""
        self.store.write(encode_rows(rows))

    def _store_said(self, error: str) -> None:
        note(self.log, "store.write_failed" if error else "store.write_recovered", reason=error)

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
        try:
            self.deliver(z.Tick(now))
        finally:  # Also after a fault of ours: what waits for its time would wait for ever.
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
            effect.uris,
            effect.backend,
            digest((effect.ca_cert_pem,)),
            effect.lifetime_s,
            issued.renew_at,
            issued.not_after,
        )
        self.deliver(z.CertificateIssued(effect.node_id, certificate, now))

    def _issue_admin(self, effect: z.IssueAdminCertificate) -> None:
        assert self.admin_ca is not None, "asked for with admin_access only"
        tls, message = None, ""
        try:
            tls = issue_admin_server(self.admin_ca, effect.hosts, effect.node_id, time.time())
        except ValueError as error:
            message = str(error)
        certificate = z.AdminCertificate(effect.hosts, tls)
        self.deliver(z.AdminCertificateIssued(effect.node_id, certificate, message))

    # --- host names of proxies ---

    async def resolve_forever(self) -> None:
        while True:
            await asyncio.sleep(RESOLVE_INTERVAL_S)
            await self.resolve()

    async def resolve(self) -> None:
        """Look every name up; one that does not resolve keeps its last address."""
        known, names = self.state.resolved, self._host_names()
        found = {name: known[name] for name in names if name in known}
        for name in names:
            with suppress(OSError, UnicodeError):  # The second: what no name can be.
                found[name] = await _resolved(name)
            # Each at once: the next one may be slow to answer.
            self.deliver(z.Resolved(dict(found), time.time()))

    def _host_names(self) -> list[str]:
        """Those of other zones' ingresses, then those of this zone's proxies."""
        there = [r.spec for r in self.state.relayed.of("ZoneIngress")]
        here = [r.spec for type_ in PROXIES for r in self.state.local.of(type_)]
        hosts = [s.advertised_address for s in there if isinstance(s, ZoneIngressSpec)]
        hosts += [s.address for s in here if isinstance(s, DataplaneSpec | ZoneIngressSpec)]
        hosts += [s.advertised_address for s in here if isinstance(s, DataplaneSpec)]
        return [host for host in dict.fromkeys(hosts) if host and not is_ip(host)]


def rows_of(effect: z.Effect) -> Rows | None:
    """What an effect wants on disk; None when it is something else."""
    if not isinstance(effect, z.Persist):
        return None
    rows: dict[Row, MeshResource | bytes | None] = {
        (effect.kind, str(resource.key)): resource for resource in effect.put
    }
    rows |= {(effect.kind, str(key)): None for key in effect.drop}
    if effect.revision is not None:
        rows["meta", "revision"] = effect.revision.encode()
    return rows


async def _resolved(name: str) -> str:
    """Of several addresses the first in text order, so that every zone chooses alike."""
    found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return min(str(info[4][0]) for info in found)


# --- the process ---


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneProcess:
    """What `reconciler zone` was started with."""

    state_dir: Path
    host: str
    bootstrap_port: int
    ads_port: int
    diagnostics: Diagnostics
    tls: ServerTls
    hosts: tuple[str, ...]
    dial: Dial
    door_limits: DoorLimits
    ads_limits: AdsLimits
    xds_host: str = ""
    reloadable_tokens: bool = False


async def serve(plane: ZoneControlPlane, process: ZoneProcess, stop: asyncio.Event) -> None:
    """From the first byte read to the last stream closed; returns after `stop`.

    A socket that is taken is found before anything runs that would have to be ended.
    """
    listening = tcp_socket(process.host, process.bootstrap_port)
    asked = unix_socket(process.state_dir / "control.sock")
    diagnostics = diagnostics_server(plane, process.diagnostics)
    manager = ServiceManager()
    warm_up()  # Nobody is connected yet; later it would hold up everybody.
    plane.stalls.start()
    plane.restore()
    with suppress(TimeoutError):  # What is not known yet would be taken from proxies that have it.
        async with asyncio.timeout(RESOLVE_START_S):
            await plane.resolve()
    plane.ads = AdsServer(plane, plane.health, process.ads_limits)
    ads_port = await plane.ads.start(
        process.host, process.ads_port, process.tls.cert_pem, process.tls.key_pem
    )
    plane.facts = ZoneFacts(
        zone=plane.state.settings.zone,
        hosts=process.hosts,
        ads_port=ads_port,
        ca_pem=process.tls.ca_pem.decode(),
        xds_host=process.xds_host,
        reloadable_tokens=process.reloadable_tokens,
        health=True,
    )
    folder = process.state_dir / "tls"
    inside = process.state_dir / "boot.sock"
    bootstrap = HttpServer(
        bootstrap_app(plane, plane.leave),
        unix_socket(inside),
        (folder / "cert.pem", folder / "key.pem"),
    )
    behind = Behind((reach(process.host), ads_port), inside)
    plane.door = Door(listening, behind, plane.crowded, process.door_limits)
    control = HttpServer(control_app(plane), asked)
    streams = AdminStreams(plane.admin.for_global) if plane.admin is not None else None
    plane.client = KdsClient(plane, process.dial, streams)
    await diagnostics.start()
    await bootstrap.start()
    await plane.door.start()
    await control.start()
    plane.client.start()
    resolving = asyncio.create_task(plane.resolve_forever())
    note(plane.log, "zone.started", zone=plane.state.settings.zone, ads_port=ads_port)
    manager.ready()
    await stop.wait()
    note(plane.log, "zone.stopping", zone=plane.state.settings.zone)
    manager.stopping()
    plane.stop()
    # Beside all else: a remote that hangs has a few seconds, and the others need not wait for it.
    flushing = asyncio.create_task(_flush(plane.status_follower))
    resolving.cancel()
    await plane.client.stop()
    await asyncio.gather(bootstrap.stop(), plane.ads.stop(1.0))
    await plane.door.stop()
    await asyncio.gather(control.stop(), diagnostics.stop())
    await flushing
    await plane.outbox.close()
    plane.stalls.stop()
    plane.store.close()


async def _flush(follower: StatusFollower | None) -> None:
    if follower is not None:
        await follower.stop()
