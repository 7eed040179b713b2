"""A zone with many proxies and its global, on the pure step alone: no socket, no clock. Each event
is delivered as `zone_cp.plane` does, one turn of the loop after what caused it, and timed.

Proxies are Envoys as the simulator has them; a proxy's own work is not timed.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.kds.client import PART_MAX
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST, RELAYED_TYPES, REPORT, STATUS
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.runtime.timer import Moments
from reconciler.state import EMPTY, from_resources
from reconciler.status.announcement import StatusMode, ZoneStatus
from reconciler.steps import zone_state as z
from reconciler.steps.zone_step import step
from tests.simulation.envoy import SimEnvoy
from tests.support.slices import sliced
from tests.support.zone import START, issued, policy, settings
from xds.discovery import DeltaRequest, DeltaResponse, Node
from xds.wire import delta_response_bytes, delta_response_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from xds.resource import XdsResource

TURN_S = 0.001  # of the loop, while there is something to do
SEND_S = 0.0003  # more of it for each response to a proxy: its bytes, its TLS, its answer
SPACING_S = 0.005  # between two arrivals: 1,000 in 5 s
DOWN = tuple(t for t in GLOBAL_TO_ZONE_TYPES if t not in RELAYED_TYPES)
UP = ("Dataplane", "DataplaneInsight", "ZoneIngress", "ZoneIngressInsight", REPORT, STATUS)
BACKEND = {"name": "ca", "type": "builtin"}
EVERYTHING = {"kind": "Mesh"}


def mesh_with_mtls(ca: str = "eA==") -> tuple[MeshResource, ...]:
    mtls = {"enabledBackend": "ca", "backends": [BACKEND]}
    names = ("default.ca-builtin-cert-ca", "default.ca-builtin-key-ca")
    secrets = (ResourceKey("Secret", "default", name) for name in names)
    return (
        mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {"mtls": mtls}),
        *(mesh_resource(key, Labels(), {"data": ca}) for key in secrets),
    )


def timeout(milliseconds: int, direction: str = "to", name: str = "all") -> MeshResource:
    """For every service (`to`), or for every inbound (`from`)."""
    item = {"targetRef": EVERYTHING, "default": {"connectionTimeout": f"{milliseconds}ms"}}
    return policy("MeshTimeout", name, {"targetRef": EVERYTHING, direction: [item]})


def permission(action: str) -> MeshResource:
    item = {"targetRef": EVERYTHING, "default": {"action": action}}
    return policy("MeshTrafficPermission", "all", {"targetRef": EVERYTHING, "from": [item]})


def document(number: int, services: int, calls: int) -> dict[str, object]:
    """Of proxy `number`: service `number % services`, which calls those after it, and s0 as all."""
    own = number % services
    called = dict.fromkeys([0, *((own + i) % services for i in range(1, calls))])
    outbounds = [
        {"port": 10001 + i, "tags": {"kuma.io/service": f"s{called}"}}
        for i, called in enumerate(called)
    ]
    tags = {"kuma.io/service": f"s{own}", "kuma.io/protocol": "http"}
    address = f"10.{1 + number // 65536}.{number // 256 % 256}.{number % 256}"
    return {
        "type": "Dataplane",
        "mesh": "default",
        "name": f"s{own}-{number}",
        "networking": {
            "address": address,
            "inbound": [{"port": 80, "servicePort": 8080, "tags": tags}],
            "outbound": outbounds,
        },
    }


@dataclass
class StepFleet:
    """`costs`: CPU seconds of every step since `reset`, by event type."""

    state: z.ZoneState
    now: float = START
    costs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    effects: Counter[str] = field(default_factory=Counter)
    envoys: dict[str, SimEnvoy] = field(default_factory=dict)  # by stream
    issuing: bool = True  # False: certificates are made at the test's word
    _ready: deque[Callable[[], None]] = field(default_factory=deque)
    _wakes: Moments = field(default_factory=Moments)
    _build_asked: bool = False
    _held: dict[str, dict[str, XdsResource]] = field(default_factory=dict)  # sent by the global
    _nonces: int = 0

    # --- the loop ---

    def deliver(self, event: z.Event) -> None:
        began = time.process_time()
        self.state, effects = step(self.state, event)
        self.costs[type(event).__name__].append(time.process_time() - began)
        for effect in effects:
            self.effects[type(effect).__name__] += 1
            self._carry_out(effect)

    def _carry_out(self, effect: z.Effect) -> None:
        match effect:
            case z.ToProxy(stream, response):
                self._ready.append(lambda: self._received(stream, response))
            case z.IssueCertificate():
                if self.issuing:
                    self._later(lambda: issued(effect, self.now))
            case z.BuildSoon():
                if not self._build_asked:
                    self._build_asked = True
                    self._ready.append(self._build)
            case z.WakeAt(at):
                self._wakes.add(at, self.now)
            case z.ToGlobalResponse(session, response):
                answer = DeltaRequest(response.type_url, nonce=response.nonce)
                self._later(lambda: z.GlobalRequest(session, answer))
            case z.CloseStream() | z.LeaveGlobal():
                raise AssertionError(effect)
            case _:
                pass

    def _received(self, stream: str, response: DeltaResponse) -> None:
        envoy = self.envoys.get(stream)
        if envoy is not None:  # It may have gone meanwhile.
            envoy.receive(response)

    def _later(self, event: Callable[[], z.Event]) -> None:
        self._ready.append(lambda: self.deliver(event()))

    def _build(self) -> None:
        self._build_asked = False
        self.deliver(z.BuildDue(self.now))

    def turn(self) -> None:
        """What is ready when it begins; what that causes is for the next."""
        sent = self.effects["ToProxy"]
        self.now += TURN_S
        for _ in range(len(self._ready)):
            self._ready.popleft()()
        if self._wakes.take(self.now):
            self.deliver(z.Tick(self.now))
        self.now += SEND_S * (self.effects["ToProxy"] - sent)

    def run(self, seconds: float = 0.0) -> None:
        """At least so long, and until nothing is ready."""
        until = self.now + seconds
        while self._ready or self.now < until:
            self.turn()

    def sleep(self, seconds: float) -> None:
        """As `run`, with nothing but its wakes."""
        until = self.now + seconds
        while (wake := self._wakes.next) is not None and wake <= until:
            self.now = max(self.now, wake - TURN_S)
            self.run()
            self.turn()
        self.run()
        self.now = until

    def reset(self) -> None:
        self.costs.clear()
        self.effects.clear()

    @property
    def cpu_ms(self) -> float:
        return 1000 * sum(map(sum, self.costs.values()))

    @property
    def longest_ms(self) -> dict[str, float]:
        """The longest step of each event type."""
        return {name: 1000 * max(found) for name, found in self.costs.items()}

    # --- the global ---

    def join(self, commit: str, *policies: MeshResource) -> None:
        """A session with the global, which subscribes to what this zone tells."""
        self.deliver(z.GlobalConnected("g"))
        for type_ in UP:
            self.deliver(z.GlobalRequest("g", DeltaRequest(type_)))
        self.commit(commit, *policies)

    def commit(self, commit: str, *policies: MeshResource) -> None:
        """A revision with exactly these policies comes from the global."""
        found = sliced(None, self.state.settings.zone, commit, from_resources(policies), EMPTY)
        for type_ in (*DOWN, MANIFEST):
            want, held = dict(found.types[type_]), self._held.get(type_)
            changed = tuple(r for name, r in want.items() if (held or {}).get(name) != r)
            removed = tuple((held or {}).keys() - want.keys())
            if held is None or changed or removed:
                self._held[type_] = want
                self._nonces += 1
                data = delta_response_bytes(
                    DeltaResponse(type_, str(self._nonces), changed, removed)
                )
                for part, more in delta_response_parts(data, PART_MAX):
                    self._later(self._response(part, more=more))

    def _response(self, response: DeltaResponse, *, more: bool) -> Callable[[], z.Event]:
        return lambda: z.GlobalResponse("g", response, self.now, more)

    # --- proxies ---

    def arrive(self, found: dict[str, object]) -> str:
        """A new proxy; its stream."""
        stream = f"stream-{found['name']}"
        metadata = {"dataplane.resource": json.dumps(found)}
        node = Node(f"default.{found['name']}", metadata=metadata)

        def send(request: DeltaRequest) -> None:
            self._later(lambda: z.ProxyRequest(stream, request, self.now))

        envoy = self.envoys[stream] = SimEnvoy(node, send)
        self._later(lambda: z.ProxyOpened(stream, "token"))
        envoy.start()
        return stream

    def arrive_all(self, documents: Iterable[dict[str, object]], spacing_s: float) -> None:
        """Whatever takes long, none waits for another."""
        began = self.now
        for count, found in enumerate(documents, 1):
            self.arrive(found)
            self.run_for(began + count * spacing_s - self.now)

    def run_for(self, seconds: float) -> None:
        """So long, whatever is still to be done."""
        until = self.now + seconds
        while self.now < until:
            self.turn()

    def leave(self, stream: str, *, by_peer: bool = True) -> None:
        """Its Envoy ends, its endpoints go out; or we have cut it off, and they stay."""
        self.envoys.pop(stream)
        self._later(lambda: z.ProxyClosed(stream, by_peer, self.now))


def step_fleet(count: int, services: int, calls: int = 5, **changes: object) -> StepFleet:
    """A zone with `count` proxies that have come one after the other; all served."""
    made = zone_of_steps(**changes)
    made.arrive_all((document(i, services, calls) for i in range(count)), SPACING_S)
    made.run(1.0)
    return made


def zone_of_steps(**changes: object) -> StepFleet:
    """A zone with a mesh with mTLS and two policies for everything, and its global."""
    status = ZoneStatus(StatusMode.RELAY)
    made = StepFleet(z.ZoneState(settings=settings(status=status, **changes)))
    made.deliver(z.Restored(START))
    made.join("c1", *mesh_with_mtls(), timeout(1000), permission("Allow"))
    made.run()
    return made
