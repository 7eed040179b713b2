"""The whole way of a change on the real steps, without a clock or a socket: a repository, its
loader, a global, zones, and their proxies, which subscribe and answer as Envoys do.

Everything is delivered in the order it was caused, so counts are exact: who is faster, which
differs from run to run in a deployment, does not exist here. `counted` sees what is done on the
way.
"""

from __future__ import annotations

import heapq
import itertools
import json
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.git.address import address
from reconciler.git.mirror import Mirror, MirrorOptions
from reconciler.git.remote import RemoteLimits, transport_to
from reconciler.keys.secret_store import FileSecrets
from reconciler.keys.system_resources import SystemResources
from reconciler.revision_loader import RevisionLoader
from reconciler.state import EMPTY, MeshState, diff
from reconciler.status.announcement import StatusMode, ZoneStatus
from reconciler.steps import global_state as g
from reconciler.steps import zone_state as z
from reconciler.steps.global_step import step as global_step
from reconciler.steps.zone_step import step as zone_step
from tests.simulation.envoy import SimEnvoy
from tests.support.git_repos import PolicyRepo
from tests.support.zone import START, issued, settings
from tests.trace.counted import GLOBAL, Counted
from xds.build.secrets import identity_secret
from xds.discovery import DeltaResponse, Node
from xds.wire import delta_response_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from xds.discovery import DeltaRequest

MAIN = "refs/heads/main"
SETTLES_S = 60.0  # reports, counters and what drains are told within


@dataclass
class TracedZone:
    name: str
    state: z.ZoneState
    session: str | None = None
    reads: bool = True  # False: what the global sends waits on the way
    waiting: list[z.Event] = field(default_factory=list)
    build_asked: bool = False
    revisions: set[str | None] = field(default_factory=set)  # that were ever in force here


@dataclass
class TracedProxy:
    """`reads` False: its Envoy takes nothing from its stream; `unread` is what waits there."""

    zone: TracedZone
    envoy: SimEnvoy
    stream: str
    reads: bool = True
    unread: list[DeltaResponse] = field(default_factory=list)


class World:
    """`push` a commit, `join` zones, `start` and `stop` proxies; `trace` what one of these does."""

    def __init__(self, folder: Path, keys: Path, files: Mapping[str, str]) -> None:
        self.repo = PolicyRepo.create(folder, files)
        where = address(str(self.repo.bare))
        transport = transport_to(where, RemoteLimits())
        mirror = Mirror(folder / "mirror.git", where, transport, MirrorOptions())
        self.loader = RevisionLoader(mirror, "", SystemResources(FileSecrets(keys)))
        self.counted = Counted()
        self.now = START
        self.globe = g.GlobalState(g.GlobalSettings(instance="g", version="0"))
        self.zones: dict[str, TracedZone] = {}
        self.proxies: dict[str, TracedProxy] = {}  # by stream
        self.renewals: dict[str, float] = {}  # node id -> seconds after which it is renewed
        self._serials = itertools.count(1)
        self._ready: deque[Callable[[], None]] = deque()
        self._wakes: list[tuple[float, int, Callable[[], None]]] = []
        self._offer_asked = False
        self.to_global(g.Restored({}))
        self.fetch()
        self.settle()

    # --- what a test does ---

    def trace(self, act: Callable[[], object], *, columns: tuple[str, ...] = ()) -> str:
        """Does it, lets it arrive everywhere, and tells what was done for it, as a table."""
        with self.counted.watch():
            act()
            self.settle()
        return self.counted.table(columns or (GLOBAL, *self.zones))

    def push(self, files: Mapping[str, str], *, without: tuple[str, ...] = ()) -> None:
        """`git push`, noticed."""
        for path in without:
            (self.repo.work / path).unlink()
        self.repo.push(files)
        self.fetch()

    def push_each(self, path: str, *texts: str) -> None:
        """One commit after the other, a second apart."""
        for text in texts:
            self.push({path: text})
            self.settle(1.0)

    def fetch(self) -> None:
        self.to_global(g.TipMoved(self.loader.mirror.fetch()[MAIN]))

    def join(self, name: str) -> None:
        """A zone with an empty disk dials the global."""
        made = settings(zone=name, instance=name, status=ZoneStatus(StatusMode.RELAY))
        zone = self.zones[name] = TracedZone(name, z.ZoneState(settings=made))
        self.to_zone(zone, z.Restored(self.now))
        zone.session = f"{name}-{next(self._serials)}"
        for half, downward in ((_down(zone), True), (_up(zone), False)):
            self.to_global(g.ZoneOpened(half, name, downward, name, self.now))
        self.to_zone(zone, z.GlobalConnected(zone.session))

    def start(self, zone: str, document: Mapping[str, object]) -> TracedProxy:
        """A new Envoy dials its zone."""
        stream = f"ads-{next(self._serials)}"
        node_id = f"{document.get('mesh', '')}.{document['name']}"
        node = Node(node_id, metadata={"dataplane.resource": json.dumps(document)})
        at = self.zones[zone]

        def send(request: DeltaRequest) -> None:
            self._soon(lambda: self.to_zone(at, z.ProxyRequest(stream, request, self.now)))

        proxy = self.proxies[stream] = TracedProxy(at, SimEnvoy(node, send), stream)
        self._soon(lambda: self.to_zone(at, z.ProxyOpened(stream, "token")))
        proxy.envoy.start()
        return proxy

    def stop(self, proxy: TracedProxy) -> None:
        del self.proxies[proxy.stream]
        self.to_zone(proxy.zone, z.ProxyClosed(proxy.stream, by_peer=True, now=self.now))

    def proxy(self, name: str) -> TracedProxy:
        (found,) = (p for p in self.proxies.values() if p.envoy.node.id.endswith(f".{name}"))
        return found

    def read(self, proxy: TracedProxy) -> None:
        """It reads again, what came meanwhile first."""
        proxy.reads = True
        while proxy.unread:
            proxy.envoy.receive(proxy.unread.pop(0))

    def release(self, zone: TracedZone) -> None:
        """What waited on the way to it arrives."""
        zone.reads = True
        while zone.waiting:
            self.to_zone(zone, zone.waiting.pop(0))

    # --- the loop ---

    def _soon(self, act: Callable[[], None]) -> None:
        self._ready.append(act)

    def _wake(self, at: float, act: Callable[[], None]) -> None:
        if all((at, act) != (a, f) for a, _, f in self._wakes):
            heapq.heappush(self._wakes, (at, next(self._serials), act))

    def run(self) -> None:
        while self._ready:
            self._ready.popleft()()

    def settle(self, seconds: float = SETTLES_S) -> None:
        """Until nothing is ready and so much time is over; nobody wakes but at a wake asked for."""
        until = self.now + seconds
        self.run()
        while self._wakes and self._wakes[0][0] <= until:
            at, _, act = heapq.heappop(self._wakes)
            self.now = max(self.now, at)
            act()
            self.run()
        self.now = until

    # --- the global ---

    def to_global(self, event: g.Event) -> None:
        self.counted.where = GLOBAL
        self.globe, effects = global_step(self.globe, event)
        for effect in effects:
            self._of_global(effect)

    def _of_global(self, effect: g.Effect) -> None:
        match effect:
            case g.Load():
                self._soon(lambda: self._load(effect))
            case g.SendResponse(session, response):
                self.counted.add("sent to zones", detail=response.type_url, where=_zone(session))
                size = len(delta_response_bytes(response))
                self.counted.add("bytes to zones", size, where=_zone(session))
                self._soon(lambda: self._sent_down(session, response))
            case g.SendRequest(session, request):
                zone = self.zones[_zone(session)]
                event = z.GlobalRequest(zone.session or "", request)
                self._soon(lambda: self.to_zone(zone, event))
            case g.KeepRelayed(_, put, drop):
                self.counted.add("rows written", len(put) + len(drop), detail="relayed")
            case g.OfferSoon() if not self._offer_asked:
                self._offer_asked = True
                self._soon(self._offer)
            case g.WakeAt(at):
                self._wake(at, self._tick_global)
            case g.CloseSession():
                raise AssertionError(effect)
            case _:
                pass

    def _load(self, wanted: g.Load) -> None:
        self.counted.where = GLOBAL
        before, whole = self.globe.published, self.loader.loads_whole
        event = self.loader.load(wanted)
        assert isinstance(event, (g.Loaded, g.Unchanged)), event
        self.counted.add("repository loaded whole", self.loader.loads_whole - whole)
        if isinstance(event, g.Loaded):
            self.counted.add("blobs read", self.loader.blobs_read)
            changed = _entries(before.resources if before else EMPTY, event.revision.resources)
            self.counted.add("entries of the diff", changed)
        self.to_global(event)

    def _offer(self) -> None:
        self._offer_asked = False
        self.to_global(g.OfferDue())

    def _tick_global(self) -> None:
        self.to_global(g.Tick(self.now))

    def _sent_down(self, session: str, response: DeltaResponse) -> None:
        zone = self.zones[_zone(session)]
        event = z.GlobalResponse(zone.session or "", response, self.now)
        if zone.reads:
            self.to_zone(zone, event)
        else:
            zone.waiting.append(event)

    # --- zones ---

    def to_zone(self, zone: TracedZone, event: z.Event) -> None:
        self.counted.where = zone.name
        before, state = dict(zone.state.settings.builders.rebuilt), zone.state
        zone.state, effects = zone_step(zone.state, event)
        zone.revisions.add(zone.state.revision)
        self.counted.add("views that differ", _other_views(state, zone.state))
        for stage, count in zone.state.settings.builders.rebuilt.items():
            self.counted.add("built", count - before[stage], detail=stage)
        for effect in effects:
            self._of_zone(zone, effect)

    def _of_zone(self, zone: TracedZone, effect: z.Effect) -> None:
        match effect:
            case z.ToProxy(stream, response):
                kind = response.type_url.rpartition(".")[2]
                self.counted.add("sent to proxies", detail=kind)
                self.counted.add("bytes to proxies", len(delta_response_bytes(response)))
                self._soon(lambda: self._sent_to_proxy(stream, response))
            case z.ToGlobalRequest(_, request):
                said = g.ZoneSubscribed(_down(zone), request, self.now)
                self._soon(lambda: self.to_global(said))
            case z.ToGlobalResponse(_, response):
                self.counted.add("told to the global", detail=response.type_url)
                told = g.ZonePublished(_up(zone), response, self.now)
                self._soon(lambda: self.to_global(told))
            case z.Persist(kind, put, drop, _):
                self.counted.add("rows written", len(put) + len(drop), detail=kind)
            case z.IssueCertificate():
                self.counted.add("certificates asked for")
                self._soon(lambda: self.to_zone(zone, self._issued(effect)))
            case z.StatusWanted():
                self.counted.add("status wanted")
            case z.BuildSoon() if not zone.build_asked:
                zone.build_asked = True
                self._soon(lambda: self._build(zone))
            case z.WakeAt(at):
                self._wake(at, _Tick(self, zone))
            case z.CloseStream() | z.LeaveGlobal():
                raise AssertionError(effect)
            case _:
                pass

    def _build(self, zone: TracedZone) -> None:
        zone.build_asked = False
        self.to_zone(zone, z.BuildDue(self.now))

    def _issued(self, effect: z.IssueCertificate) -> z.CertificateIssued:
        """Never the same twice; renewed when the test wants it."""
        made = issued(effect, self.now)
        chain = str(next(self._serials)).zfill(8).encode()  # of one length, so that bytes count
        identity = identity_secret(effect.identity_secret, chain, b"key")
        after = self.renewals.get(effect.node_id)
        renew_at = made.certificate.renew_at if after is None else self.now + after
        certificate = replace(made.certificate, identity=identity, renew_at=renew_at)
        return replace(made, certificate=certificate)

    def _sent_to_proxy(self, stream: str, response: DeltaResponse) -> None:
        proxy = self.proxies.get(stream)
        if proxy is None:
            return
        if proxy.reads:
            proxy.envoy.receive(response)
        else:
            proxy.unread.append(response)


@dataclass(frozen=True)
class _Tick:
    """Equal to another of the same zone: one wake at a time is enough."""

    world: World = field(compare=False)
    zone: TracedZone = field(hash=False)

    def __call__(self) -> None:
        self.world.to_zone(self.zone, z.Tick(self.world.now))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Tick) and other.zone is self.zone

    def __hash__(self) -> int:
        return id(self.zone)


def _down(zone: TracedZone) -> str:
    return f"{zone.session}-down"


def _up(zone: TracedZone) -> str:
    return f"{zone.session}-up"


def _zone(half: str) -> str:
    return half.partition("-")[0]


def _other_views(before: z.ZoneState, after: z.ZoneState) -> int:
    """Proxies that are to run something else than before, or run something for the first time."""
    if before.proxies is after.proxies:
        return 0
    views = {node: proxy.view for node, proxy in before.proxies.items()}
    return sum(
        proxy.view is not None and proxy.view != views.get(node)
        for node, proxy in after.proxies.items()
    )


def _entries(before: MeshState, after: MeshState) -> int:
    changed = diff(before, after)
    return len(changed.put) + len(changed.drop)
