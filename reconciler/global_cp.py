"""The global control plane's process: delivers events to the pure step and carries out its effects.

Follows the repository, loads commits in a thread, serves zones over KDS and answers who asks on the
control socket. Nothing is served before a revision is loaded: zones are refused with UNAVAILABLE
until then.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from reconciler.api.control_socket import control_app
from reconciler.api.diagnostics import Diagnostics, diagnostics_server
from reconciler.api.refusing import RefusingDoor
from reconciler.api.serving import HttpServer, unix_socket
from reconciler.api.waiting import wait_until
from reconciler.arrival import Outcome, global_outcome, held_text
from reconciler.figures import (
    ProcessFigures,
    admin_figures,
    door_figures,
    global_figures,
    process_figures,
    status_figures,
)
from reconciler.git.errors import GitFailed
from reconciler.git.status_reading import prefix_fault, read_status
from reconciler.git.status_ref import zone_of_ref
from reconciler.git.watch import FetchFailed, FetchRecovered, TipsChanged, WatchOptions
from reconciler.git.watch import tips as tips_of
from reconciler.global_status import zone_row
from reconciler.inspection import (
    NO_ZONE,
    TIMED_OUT,
    Inspected,
    Inspection,
    outcome,
    routed,
)
from reconciler.kds.admin_server import NoAnswer, Unreachable
from reconciler.kds.admission import Caller, Proof, Refusal, prove
from reconciler.kds.server import KdsLimits, KdsServer
from reconciler.mesh_ca import expiry_warnings
from reconciler.refusal import words_for_proxy, zone_by_name, zone_by_token
from reconciler.runtime.log import NOTED, note
from reconciler.runtime.loop_watch import LoopWatch
from reconciler.runtime.outbox import Outbox
from reconciler.runtime.service_manager import ServiceManager
from reconciler.runtime.timer import Timer
from reconciler.steps import global_state as g
from reconciler.steps.global_step import step
from reconciler.steps.global_zones import refusal
from reconciler.stored import decode_stored, encode_rows

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from reconciler.api.door import DoorLimits
    from reconciler.ca.server_tls import ServerTls
    from reconciler.figures import Figure
    from reconciler.model.resource import MeshResource
    from reconciler.revision_loader import RevisionLoader
    from reconciler.state import MeshState
    from reconciler.status.relay import StatusRelay
    from reconciler.store import Store
    from reconciler.stored import Row, Rows
    from xds.discovery import DeltaRequest, DeltaResponse

UNAUTHENTICATED, INTERNAL = 16, 13  # gRPC status numbers
RELAYED = "relayed"  # kind of the rows
LOAD_RETRY_S = 5.0
SECRETS_POLL_S = 0.5


class GlobalControlPlane:
    """Wires repository, loader and zones around one `GlobalState`."""

    def __init__(
        self, settings: g.GlobalSettings, loader: RevisionLoader, store: Store, log: logging.Logger
    ) -> None:
        self.state = g.GlobalState(settings=settings)
        self.loader = loader
        self.store = store
        self.log = log
        self.kds: KdsServer | None = None
        self.refusing: RefusingDoor | None = None
        self.relay: StatusRelay | None = None
        self.ref_faults: Mapping[str, str] = {}  # found at start, by ref
        self.secrets_error = ""  # why secrets cannot be looked at now
        self.changed = asyncio.Event()  # replaced at every change; for whoever waits
        self.crash = asyncio.get_running_loop().create_future()  # a fault of ours: ends the process
        self.stalls = LoopWatch()
        self.outbox: Outbox[g.Effect, MeshResource | bytes] = Outbox(
            self._rows_of, self._write, self._carry_out, self._store_said
        )
        self._timer = Timer(lambda now: self.deliver(g.Tick(now)))
        self._newest: str | None = None  # where the branch was when last looked at
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
        self.deliver(g.ZoneSubscribed(session, request))

    def published(self, session: str, response: DeltaResponse) -> None:
        self.deliver(g.ZonePublished(session, response, time.time()))

    def closed(self, session: str) -> None:
        self.deliver(g.ZoneClosed(session, time.time()))

    # --- ControlSource ---

    def status(self, *, proxies: bool) -> Mapping[str, object]:
        state = self.state
        rejected = state.rejected
        found: dict[str, object] = {
            "role": "global",
            "revision": state.published.commit if state.published else None,
            "rejected": rejected.commit if rejected else None,
            "problems": [str(p) for p in rejected.problems] if rejected else [],
            "held": _held_row(state.held) if state.held else None,
            "warnings": self._warnings(),
            "repository_error": state.fetch_error or state.load_error or "",
            "store_error": self.outbox.error or self.store.loss,
            "status_error": self._status_error(),
            "status_commits": self.relay.follower.facts() if self.relay else None,
            "loop_stall_ms_max": self.stalls.longest_ms,
            "zones": [zone_row(state, name) for name in sorted(state.zones)],
        }
        if proxies:
            found["inventory"] = sorted(
                f"{name}/{resource.key}"
                for name, record in state.zones.items()
                for resource in record.owned.by_key.values()
                if not resource.key.type.endswith("Insight")
            )
        return found

    # DiagnosticsSource

    def unready(self) -> str:
        return "" if self.state.published is not None else "no revision is in force yet"

    def figures(self) -> Iterator[Figure]:
        process = ProcessFigures(
            role="global",
            version=self.state.settings.version,
            events=NOTED,
            loop_longest_ms=self.stalls.longest_ms,
            loop_stalls=self.stalls.stalls,
            store_error=self.outbox.error,
            store_waiting=self.outbox.waiting,
        )
        yield from process_figures(process)
        yield from global_figures(self.state)
        if self.refusing is not None:
            yield from door_figures(self.refusing.door.figures)
        if self.relay is not None:
            follower = self.relay.follower
            yield from status_figures(follower.state, len(follower.errors))
        if self.kds is not None:
            yield from admin_figures(self.kds.admin.figures)

    def _warnings(self) -> list[str]:
        published, found = self.state.published, []
        if published is not None:
            found = [*map(str, published.warnings)]
            found += expiry_warnings(published.resources, time.time())
        if self.secrets_error:
            found.append(f"changes of secrets are not seen: {self.secrets_error}")
        return found

    def _status_error(self) -> str:
        """What keeps status from being read (at start) or written."""
        faults = [f"{ref}: {reason}" for ref, reason in sorted(self.ref_faults.items())]
        if self.relay is not None and self.relay.follower.error:
            faults.append(self.relay.follower.error)
        return "; ".join(faults)

    async def wait(self, commit: str, timeout_s: float) -> Mapping[str, object]:
        async def outcome() -> Outcome:
            return global_outcome(self.state, await self._standing_for(commit))

        return await wait_until(self, outcome, timeout_s)

    async def inspect(self, asked: Inspection) -> Inspected:
        """Of a proxy of any zone, asked from there."""
        found = await asyncio.to_thread(routed, self.state, asked)  # Of 100,000 it takes a while.
        if isinstance(found, Inspected):
            return found
        if self.kds is None:
            return Inspected(NO_ZONE, error="no zone can be asked yet")
        try:
            question = replace(asked.question, name=found.name)
            answer = await self.kds.admin.ask(found.zone, question)
        except Unreachable as error:
            return Inspected(NO_ZONE, error=str(error))
        except NoAnswer as error:
            return Inspected(TIMED_OUT, error=str(error))
        return outcome(answer.body, answer.error)

    async def _standing_for(self, commit: str) -> str:
        """A burst converges on its last commit: one that was overtaken arrives with the revision
        that contains it.
        """
        published = self.state.published
        if published is None or any(known.startswith(commit) for known in self.state.history):
            return commit
        contains = self.loader.mirror.contains
        with suppress(GitFailed):  # what cannot be read now may be there at the next look
            if await asyncio.to_thread(contains, published.commit, commit):
                return published.commit
        return commit

    def accept(self, commit: str) -> Mapping[str, object]:
        """`commit` is an id or the beginning of one; only the commit that is held is accepted."""
        held = self.state.held
        if held is None:
            return Outcome("refused", "no commit is held; nothing to accept").document()
        if not held.commit.startswith(commit):
            text = f"commit {commit[:12]} is not the one that is held, {held.commit}"
            return Outcome("refused", text).document()
        self.deliver(g.Accepted(held.commit))
        return Outcome("accepted", f"commit {held.commit} is loaded next").document()

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
            case g.RevisionInForce() | g.KeepAccepted() | g.KeepRelayed():
                raise AssertionError("the outbox writes")
            case g.WakeAt(at):
                self._timer.at(at)
            case g.Note(event, fields):
                note(self.log, event, **fields)

    def _rows_of(self, effect: g.Effect) -> Rows | None:
        match effect:
            case g.RevisionInForce(commit):
                where = str(self.loader.mirror.address).encode()
                return {("meta", "revision"): commit.encode(), ("meta", "repository"): where}
            case g.KeepAccepted(commit):
                return {("meta", "accepted"): commit.encode() if commit is not None else None}
            case g.KeepRelayed(zone, put, drop):
                rows: dict[Row, MeshResource | bytes | None] = {
                    (RELAYED, f"{zone}/{resource.key}"): resource for resource in put
                }
                return rows | {(RELAYED, f"{zone}/{key}"): None for key in drop}
            case _:
                return None

    def _write(self, rows: Rows) -> None:
        """In the outbox's thread."""
        self.store.write(encode_rows(rows))

    def _relayed(self) -> dict[str, tuple[MeshResource, ...]]:
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
            text = f"internal error, please report it: {type(error).__name__}: {error}"
            event = g.LoadFailed(wanted.commit, text)
        self.deliver(event)
        if isinstance(event, g.LoadFailed):
            await asyncio.sleep(LOAD_RETRY_S)
            # Never what this one was: a newer commit may have failed meanwhile.
            self.deliver(g.RetryDue(self._newest))

    def _load_ended(self, task: asyncio.Task[None]) -> None:
        """What went wrong while a revision was put in force is nothing to go on from."""
        self._loads.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.crash.done():
            self.crash.set_exception(error)

    # --- the repository ---

    def start_from(
        self,
        tips: Mapping[str, str],
        ingresses: Mapping[str, tuple[MeshResource, ...]],
        options: Following,
    ) -> None:
        """The first look: what zones sent and wrote, the revision last in force, the newest
        commit.
        """
        kept = {name: value.decode() for name, value in self.store.load_all("meta").items()}
        self.deliver(g.Restored(self._relayed(), kept.get("revision"), kept.get("accepted")))
        self.deliver(g.StatusRefsRead(ingresses))
        self._tip(tips, options)

    def _ingresses(
        self, tips: Mapping[str, str], options: Following
    ) -> dict[str, tuple[MeshResource, ...]]:
        read = read_status(self.loader.mirror, tips, options.status_prefix)
        fault = prefix_fault(self.loader.mirror, options.status_prefix)
        self.ref_faults = {**read.faults, **({options.status_prefix: fault} if fault else {})}
        for ref, reason in self.ref_faults.items():
            note(self.log, "status.unreadable_failed", ref=ref, reason=reason)
        return read.ingresses

    def _tip(self, tips: Mapping[str, str], options: Following) -> None:
        self._newest = tips.get(options.branch_ref)
        if self._newest is not None:
            self.deliver(g.TipMoved(self._newest))

    async def follow(self, options: Following) -> None:
        """Every change of the repository, for as long as this process lives."""
        started = False
        watch = replace(options.watch, quiet=options.status_prefix)
        async with aclosing(tips_of(self.loader.mirror, watch)) as changes:
            async for change in changes:
                match change:
                    case TipsChanged(found) if not started:
                        started = await self._start(found, options)
                    case TipsChanged(found):
                        self._tip(found, options)
                    case FetchFailed(message):
                        self.deliver(g.FetchFailed(message))
                        if not started:
                            started = await self._start_from_disk(options)
                    case FetchRecovered():
                        self.deliver(g.FetchRecovered())

    async def follow_secrets(self) -> None:
        """A file that a commit refers to is looked at often; its change is a new state."""
        while True:
            await asyncio.sleep(SECRETS_POLL_S)
            try:
                moved = await asyncio.to_thread(self.loader.secrets_moved)
            except OSError as error:  # What cannot be read now is looked at again.
                self._secrets_said(str(error))
                continue
            self._secrets_said("")
            if moved:
                note(self.log, "secrets.changed")
                self.deliver(g.SecretsChanged())

    def _secrets_said(self, error: str) -> None:
        if error and error != self.secrets_error:
            note(self.log, "secrets.unread_failed", reason=error)
        self.secrets_error = error

    async def _start(
        self, tips: Mapping[str, str], options: Following, *, known: frozenset[str] = frozenset()
    ) -> bool:
        """`known` are zones of which there is better news than these status refs. Who starts asks
        the zones themselves from then on: their refs are not looked at again.
        """
        ingresses = await asyncio.to_thread(self._prepare, tips, options)
        news = {zone: found for zone, found in ingresses.items() if zone not in known}
        self.start_from(tips, news, options)
        self.loader.mirror.follow_branch_only()
        return True

    async def _start_from_disk(self, options: Following) -> bool:
        """While the repository is away, zones are served what was fetched from it before."""
        held = await asyncio.to_thread(self.loader.mirror.held)
        known = self.store.load_all("meta").get("repository")
        same = known == str(self.loader.mirror.address).encode()
        if not same or options.branch_ref not in held:
            return False
        note(self.log, "repository.kept", revision=held[options.branch_ref])
        # These refs are as old as the last start, what zones sent since then is on our disk.
        return await self._start(held, options, known=frozenset(self._relayed()))

    def _prepare(
        self, tips: Mapping[str, str], options: Following
    ) -> dict[str, tuple[MeshResource, ...]]:
        """Keys are made once: signs of an earlier fleet without its keys stop the process.

        Returns what zones wrote to their refs.
        """
        zones = [ref for ref in tips if zone_of_ref(ref, options.status_prefix)]
        earlier = f"{', '.join(sorted(zones))} shows an earlier fleet" if zones else None
        self.loader.system.prepare(earlier_fleet=earlier, new_keys=options.new_keys)
        return self._ingresses(tips, options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Which refs mean what."""

    branch_ref: str
    status_prefix: str
    new_keys: bool
    watch: WatchOptions


def _held_row(held: g.Held) -> dict[str, str]:
    return {**asdict(held), "message": held_text(held.commit, held.in_force)}


# --- the process ---


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalProcess:
    """What `reconciler global` was started with."""

    state_dir: Path
    host: str
    kds_port: int
    kds_limits: KdsLimits
    proxy_port: int | None  # where proxies are told to go elsewhere; None: nowhere
    door_limits: DoorLimits
    diagnostics: Diagnostics
    tls: ServerTls
    following: Following


async def serve(plane: GlobalControlPlane, process: GlobalProcess, stop: asyncio.Event) -> None:
    """From the first look at the repository to the last stream closed; returns after `stop`.

    Raises KeysMissing when the keys of an earlier fleet are not here.
    """
    manager = ServiceManager()
    control = HttpServer(control_app(plane), unix_socket(process.state_dir / "control.sock"))
    diagnostics = diagnostics_server(plane, process.diagnostics)
    await diagnostics.start()
    plane.kds = KdsServer(plane, process.kds_limits)
    port = await plane.kds.start(
        process.host, process.kds_port, process.tls.cert_pem, process.tls.key_pem
    )
    plane.refusing = await _refusing(plane, process, port)
    await control.start()
    note(plane.log, "global.started", kds_port=port, repository=str(plane.loader.mirror.address))
    plane.stalls.start()
    manager.ready()
    following = asyncio.create_task(plane.follow(process.following))
    stopping = asyncio.create_task(stop.wait())
    secrets = asyncio.create_task(plane.follow_secrets())
    ending = {following, secrets, stopping, plane.crash}
    done, _ = await asyncio.wait(ending, return_when=asyncio.FIRST_COMPLETED)
    note(plane.log, "global.stopping")
    manager.stopping()
    flushing = asyncio.create_task(_flush(plane.relay))
    for task in ending:
        task.cancel()
    # Breaks off a call to a server that hangs: its thread would hold this process up.
    await asyncio.to_thread(plane.loader.mirror.transport.close)
    await asyncio.gather(*ending, return_exceptions=True)
    if plane.refusing is not None:
        await plane.refusing.stop()
    await plane.kds.stop(1.0)
    await asyncio.gather(control.stop(), diagnostics.stop())
    await flushing
    await plane.outbox.close()
    plane.stalls.stop()
    plane.store.close()
    for task in done - {stopping}:
        task.result()  # They end by an exception only.


async def _refusing(
    plane: GlobalControlPlane, process: GlobalProcess, kds_port: int
) -> RefusingDoor | None:
    """A zone of the same machine may have the port: then proxies are where they belong."""
    if process.proxy_port is None:
        return None
    listen, kds = (process.host, process.proxy_port), (process.host, kds_port)
    try:
        door = RefusingDoor(plane, listen, kds, process.state_dir, process.door_limits)
    except OSError as error:
        note(plane.log, "door.port_taken", reason=str(error))
        return None
    await door.start()
    return door


async def _flush(relay: StatusRelay | None) -> None:
    if relay is not None:
        await relay.follower.stop()
