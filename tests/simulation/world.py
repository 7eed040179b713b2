"""A seeded world: one repository, one global, two zones and their proxies, all running the real
steps.

Effects become messages on simulated streams; what a step persists is all that survives a crash of
its process, which may come between two effects of one decision. Time is virtual. `trouble` cuts,
clogs, crashes, commits and scales at random and lets it settle; `invariants` must hold throughout.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from random import Random
from typing import TYPE_CHECKING

from reconciler.kds.zone_node import zone_node
from reconciler.status.announcement import StatusMode, ZoneStatus
from reconciler.status.document import INGRESS_PATH
from reconciler.status_ingress import from_status
from reconciler.steps import global_state as g
from reconciler.steps import zone_state as z
from reconciler.steps.global_step import step as global_step
from reconciler.steps.global_zones import refusal
from reconciler.steps.proxy_state import Certificate
from reconciler.steps.zone_settings import ZoneSettings
from reconciler.steps.zone_step import step as zone_step
from tests.simulation.clock import SimClock
from tests.simulation.documents import Content
from tests.simulation.invariants import (
    InvariantBroken,
    check_in_force,
    check_reach,
    check_zone,
    offered,
)
from tests.simulation.network import Stream
from tests.simulation.parts import SETTLES_S, SimGlobal, SimZone, verify
from tests.simulation.proxies import SimFleet, proxies_of_zone
from tests.simulation.remote import SimRemote
from tests.simulation.repository import SimGit, loaded_event
from tests.simulation.status import SimStatus
from xds.build.secrets import identity_secret
from xds.resource import digest
from xds.translate import Builders

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.discovery import DeltaRequest, DeltaResponse


ZONES = ("east", "west")
CRASH_AMONG_EFFECTS = 0.02  # share of the decisions that write to disk, until healed
# Memos only: equal arguments, equal bytes; sharing them makes a thousand seeds affordable.
BUILDERS = Builders()

# Why the global ends a zone's session with good reason: a commit says so, or a newer stream came
# and went before the end of this one was noticed.
MEANT = ("taken out of the repository", "was here meanwhile")


class World:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.clock = SimClock()
        self.git = SimGit()
        self.remote = SimRemote()
        self.has_plain_mesh = seed % 4 == 0
        self.content = Content(0, plain_mesh=self.has_plain_mesh)
        if seed % 3 == 0:
            self.content = replace(self.content, zones=ZONES)
        self.unsettled: dict[str, float] = {}  # zone -> when a commit last took it out, or put in
        self.calm = False
        self.zones_wanted: tuple[tuple[str, ...], str] = ((), "")
        self.sessions: dict[str, tuple[str, bool, Stream]] = {}
        self.serial = 0
        self.writes = 0  # to disks
        self.commit()
        self.globe = SimGlobal(self._new_global())
        self.global_responses = 0
        self.zones = {
            name: SimZone(name, SimStatus(self, name), self.new_zone(name)) for name in ZONES
        }
        found = (proxies_of_zone(zone, plain_mesh=self.has_plain_mesh) for zone in ZONES)
        self.proxies = {f"{p.envoy.node.id}@{p.zone}": p for p in chain.from_iterable(found)}
        self.fleet = SimFleet(self)
        self.start_global()
        for zone in self.zones.values():
            self.start_zone(zone)
        for proxy in self.proxies.values():
            self.fleet.add(proxy)

    # --- repository ---

    def commit(self, content: Content | None = None, *, mistake: str = "") -> None:
        """Push this content, or the last, under the next number. A mistake is not made twice."""
        number = self.content.number + 1
        self.content = replace(content or self.content, number=number, mistake=mistake)
        self.push(self.content)

    def rewrite(self) -> None:
        """A force-push: what the last commits did is undone, something else takes their place."""
        self.content = replace(self.content, number=self.content.number + 1, mistake="")
        past = self.git.history(self.git.tip)
        self.push(self.content, onto=past[min(self.random.randint(1, 3), len(past) - 1)])

    def accept_held(self) -> None:
        held = self.globe.state.held
        if self.globe.up and held is not None:
            self.globe.asked_for.add(held.commit)
            self.to_global(g.Accepted(held.commit))

    def push(self, content: Content, *, onto: str | None = None) -> None:
        changed = (content.zones, content.disabled) != self.zones_wanted
        self.zones_wanted = content.zones, content.disabled
        if changed or content.disabled or (content.zones and len(content.zones) < len(ZONES)):
            self.unsettled = dict.fromkeys(ZONES, self.clock.now)
        if content.revoked:
            zone = content.revoked.rpartition("-")[2]
            self.proxies[f"default.{content.revoked}@{zone}"].revoked_at = self.clock.now
        commit = self.git.commit(content, onto)
        self.clock.after(self.random.uniform(0.001, 0.2), lambda: self.notice(commit))

    def notice(self, commit: str) -> None:
        if commit != self.git.tip or self.remote.away or self.remote.branch_gone:
            return
        self.remote.fetched = commit
        if self.globe.up:
            self.to_global(g.TipMoved(commit))

    # --- global ---

    def _new_global(self) -> g.GlobalState:
        return g.GlobalState(settings=g.GlobalSettings(instance="g", version="0"))

    def start_global(self) -> None:
        """While the remote is away it starts from its mirror, or not at all."""
        remote, globe = self.remote, self.globe
        if remote.away and not (remote.mirror_whole and globe.kept is not None):
            self.clock.after(1.0, self.start_global)
            return
        globe.up = True
        globe.state = self._new_global()
        if not remote.away:
            refs = {
                name: self.git.refs.get(z.status.writer.ref(name)) for name, z in self.zones.items()
            }
            remote.status_fetched = {name: trees[-1] for name, trees in refs.items() if trees}
            remote.mirror_whole = True
            remote.fetched = self.git.tip if not remote.branch_gone else remote.fetched
        known = globe.relayed if remote.away else {}
        ingresses = {
            name: tuple(from_status(name, tree[INGRESS_PATH]))
            for name, tree in remote.status_fetched.items()
            if name not in known
        }
        relayed = {name: tuple(found.values()) for name, found in globe.relayed.items()}
        globe.ahead = frozenset(
            (name, service)
            for name, found in ingresses.items()
            for service in offered(relayed.get(name, ())) - offered(found)
        )
        globe.ahead_until = self.clock.now + SETTLES_S
        lost = globe.lost or (globe.kept is None and bool(ingresses))
        self.to_global(g.Restored(relayed, globe.kept, globe.accepted, lost))
        self.to_global(g.StatusRefsRead(ingresses))
        if remote.fetched is not None and not remote.branch_gone:
            self.to_global(g.TipMoved(remote.fetched))
        if remote.away:
            self.to_global(g.FetchFailed("away"))

    def remote_returns(self) -> None:
        """The next look at a remote that is there again, with its branch."""
        self.remote.heal()
        if self.globe.up:
            self.to_global(g.FetchRecovered())
        self.notice(self.git.tip)

    def crash_global(self) -> None:
        if not self.globe.up:
            return
        self.globe.up = False
        for _, _, stream in list(self.sessions.values()):
            stream.cut()
        self.sessions.clear()
        self.clock.after(self.random.uniform(0.1, 5.0), self.start_global)

    def to_global(self, event: g.Event) -> None:
        if not self.globe.up:
            return
        self.globe.state, effects = global_step(self.globe.state, event)
        kept = g.RevisionInForce | g.KeepAccepted | g.KeepRelayed | g.KeepMadeGood
        writes = any(isinstance(e, kept) for e in effects)
        done = self._survived(len(effects), writes=writes)
        for effect in effects[:done]:
            self._global_effect(effect)
        if done is not None:
            self.crash_global()

    def _survived(self, count: int, *, writes: bool) -> int | None:
        """How many effects of a decision are carried out before a crash; None: all, no crash."""
        if self.calm or not writes or self.random.random() >= CRASH_AMONG_EFFECTS:
            return None
        return self.random.randrange(count + 1)

    def _global_effect(self, effect: g.Effect) -> None:
        match effect:
            case g.Load(commit, published, after):
                self.remote.mirror_whole |= not self.remote.away  # It is fetched anew.
                if not self.remote.mirror_whole:
                    answer: g.Event = g.LoadFailed(commit, "not in the mirror")
                    self.global_later(5.0, lambda: g.RetryDue(self.remote.fetched))
                elif after is not None and not self.git.descends(commit, after):
                    answer = g.LoadHeld(commit, after)
                else:
                    answer = loaded_event(commit, self.git.content[commit], published)
                self.global_later(self.random.uniform(0.001, 0.3), lambda: answer)
            case g.RevisionInForce(commit):
                check_in_force(self, commit)
                self.globe.kept = commit
                self.globe.published.add(commit)
                self.globe.numbers.add(self.git.content[commit].number)
            case g.KeepAccepted(found):
                self.globe.accepted = found
            case g.KeepMadeGood():
                self.globe.lost = False
            case g.WakeAt(at):
                self.global_later(at - self.clock.now, lambda: g.Tick(self.clock.now))
            case g.KeepRelayed(name, put, drop):
                self.writes += 1
                held = self.globe.relayed.setdefault(name, {})
                held.update({resource.key: resource for resource in put})
                for key in drop:
                    held.pop(key, None)
            case g.SendResponse(session, response):
                self.global_responses += 1
                self._down(session, response)
            case g.SendRequest(session, request):
                self._ask_zone(session, request)
            case g.CloseSession(session, _, message) if any(why in message for why in MEANT):
                if session in self.sessions:
                    self.sessions[session][2].cut()
            case g.CloseSession(session, _, message):
                raise InvariantBroken(f"the global closed a zone's session: {message}")
            case g.OfferSoon():
                running = self.globe.state.settings

                def offer() -> None:
                    if self.globe.state.settings is running:  # The same process as asked.
                        self.to_global(g.OfferDue())

                self.clock.after(0.0005, offer)
            case _:
                pass

    def global_later(self, delay_s: float, event: Callable[[], g.Event]) -> None:
        """Timers and loads end with their process."""
        settings = self.globe.state.settings

        def fire() -> None:
            if self.globe.state.settings is settings:
                self.to_global(event())

        self.clock.after(max(delay_s, 0.0), fire)

    # --- zones ---

    def new_zone(self, name: str) -> z.ZoneState:
        settings = ZoneSettings(
            zone=name,
            instance=name,
            node=zone_node(name, name, "0"),
            verify=verify,
            builders=BUILDERS,
            status=ZoneStatus(StatusMode.DIRECT),
            mass_loss_min=3,
        )
        return z.ZoneState(settings=settings)

    def restored(self, zone: SimZone) -> z.Restored:
        """What its disk holds, and nothing else of it."""
        kept = {kind: tuple(found.values()) for kind, found in zone.disk.items()}
        lost = zone.lost - ({"policy"} if kept.get("policy") else set())
        return z.Restored(
            self.clock.now,
            kept.get("policy", ()),
            kept.get("relayed", ()),
            kept.get("local", ()),
            zone.revision if "policy" not in lost else None,
            frozenset(lost),
            zone.vips,
        )

    def start_zone(self, zone: SimZone) -> None:
        zone.up = True
        zone.status.restart()
        zone.state = self.new_zone(zone.name)
        zone.session = None
        zone.checked, zone.ingresses = None, frozenset()
        self.to_zone(zone, self.restored(zone))
        self.dial(zone)

    def crash_zone(self, zone: SimZone) -> None:
        """The process ends: its streams break, and nothing of its memory remains."""
        if not zone.up:
            return
        zone.up = False
        self.hang_up(zone)
        for proxy in self.proxies.values():
            if proxy.zone == zone.name and proxy.stream is not None:
                proxy.stream.cut()
            if proxy.zone == zone.name:
                proxy.health = None
        self.clock.after(self.random.uniform(0.1, 5.0), lambda: self.start_zone(zone))

    def dial(self, zone: SimZone) -> None:
        """Open both KDS streams, or try again later."""
        if not zone.up or zone.session is not None:
            return
        again = self.random.uniform(0.2, 2.0)
        if not self.globe.up or refusal(self.globe.state, zone.name, zone.name) is not None:
            self.clock.after(again, lambda: self.dial(zone))
            return
        self.serial += 1
        zone.session = f"{zone.name}-{self.serial}"
        session = zone.session
        for downward in (True, False):
            half = f"{session}-{'down' if downward else 'up'}"
            stream = Stream(
                self.clock,
                self.random,
                lambda: self.lost_global(zone, session),
                lambda half=half: self.lost_zone(half),  # type: ignore[misc]
            )
            zone.streams[half] = stream
            self.sessions[half] = (zone.name, downward, stream)
            self.to_global(g.ZoneOpened(half, zone.name, downward, zone.name, self.clock.now))
        self.to_zone(zone, z.GlobalConnected(session))

    def lost_zone(self, half: str) -> None:
        """The global learns that a stream is gone."""
        self.sessions.pop(half, None)
        self.to_global(g.ZoneClosed(half, self.clock.now))

    def lost_global(self, zone: SimZone, session: str) -> None:
        """The zone learns that one of its streams is gone: it gives up both and dials again."""
        if zone.session == session:
            self.hang_up(zone)
            self.to_zone(zone, z.GlobalDisconnected(session, "the stream broke"))
            self.clock.after(self.random.uniform(0.2, 2.0), lambda: self.dial(zone))

    def hang_up(self, zone: SimZone) -> None:
        zone.session = None
        for stream in zone.streams.values():
            stream.cut()
        zone.streams = {}

    def to_zone(self, zone: SimZone, event: z.Event) -> None:
        if not zone.up:
            return
        zone.state, effects = zone_step(zone.state, event)
        done = self._survived(len(effects), writes=any(isinstance(e, z.Persist) for e in effects))
        for effect in effects[:done]:
            self._zone_effect(zone, effect)
        check_zone(self, zone)
        check_reach(self, zone)
        if done is not None:
            self.crash_zone(zone)

    def _zone_effect(self, zone: SimZone, effect: z.Effect) -> None:
        match effect:
            case z.Persist(kind, put, drop, revision):
                self.writes += 1
                held = zone.disk.setdefault(kind, {})
                held.update({resource.key: resource for resource in put})
                for key in drop:
                    held.pop(key, None)
                zone.revision = revision if revision is not None else zone.revision
            case z.PersistVips(allocations):
                zone.vips = allocations
            case z.PersistMadeGood():
                zone.lost = set()
            case z.AskHealth(stream, specifier):
                self.fleet.answer_health(zone, stream, specifier)
            case z.CloseHealth(stream, _, _):
                for proxy in self.proxies.values():
                    proxy.health = None if proxy.health == stream else proxy.health
            case z.ToGlobalRequest(session, request):
                self._up(zone, session, "down", lambda half: g.ZoneSubscribed(half, request))
            case z.ToGlobalResponse(session, response):
                zone.responses += 1
                self._up(zone, session, "up", lambda half: g.ZonePublished(half, response))
            case z.LeaveGlobal(_, reason):
                raise InvariantBroken(f"{zone.name} does not understand the global: {reason}")
            case z.ToProxy(stream, response):
                zone.responses += 1
                self.fleet.deliver(stream, response)
            case z.CloseStream(stream, _, _):
                self.fleet.close(stream)
            case z.IssueCertificate():
                self._issue(zone, effect)
            case z.BuildSoon():
                self.zone_later(zone, 0.0005, lambda: z.BuildDue(self.clock.now))
            case z.WakeAt(at):
                self.zone_later(zone, at - self.clock.now, lambda: z.Tick(self.clock.now))
            case z.StatusWanted(status):
                zone.status.want(status)
            case _:
                pass

    def zone_later(self, zone: SimZone, delay_s: float, event: Callable[[], z.Event]) -> None:
        """Timers end with their process."""
        settings = zone.state.settings

        def fire() -> None:
            if zone.up and zone.state.settings is settings:
                self.to_zone(zone, event())

        self.clock.after(max(delay_s, 0.0), fire)

    def _issue(self, zone: SimZone, effect: z.IssueCertificate) -> None:
        pem = "|".join(effect.uris).encode()
        certificate = Certificate(
            identity_secret(effect.identity_secret, pem, b"key"),
            effect.uris,
            effect.backend,
            digest((effect.ca_cert_pem,)),
            effect.lifetime_s,
            renew_at=self.clock.now + 10 * 86400,
            expires_at=self.clock.now + 12 * 86400,
        )
        self.zone_later(
            zone,
            0.002,
            lambda: z.CertificateIssued(effect.node_id, effect.mesh, certificate, self.clock.now),
        )

    # --- KDS streams ---

    def _up(self, zone: SimZone, session: str, half: str, event: Callable[[str], g.Event]) -> None:
        name = f"{session}-{half}"
        stream = zone.streams.get(name)
        if stream is not None:
            stream.carry(0, lambda: self.to_global(event(name)))

    def _down(self, half: str, response: DeltaResponse) -> None:
        if half in self.sessions:
            name, _, stream = self.sessions[half]
            zone, session = self.zones[name], half.removesuffix("-down")
            stream.carry(
                1, lambda: self.to_zone(zone, z.GlobalResponse(session, response, self.clock.now))
            )

    def _ask_zone(self, half: str, request: DeltaRequest) -> None:
        if half in self.sessions:
            name, downward, stream = self.sessions[half]
            assert not downward
            zone, session = self.zones[name], half.removesuffix("-up")
            stream.carry(1, lambda: self.to_zone(zone, z.GlobalRequest(session, request)))

    def status_commits(self) -> dict[str, int]:
        return {ref: len(found) for ref, found in self.git.refs.items()}

    def responses(self) -> int:
        return self.global_responses + sum(zone.responses for zone in self.zones.values())
