"""What a world is made of: its global, its zones, their proxies; each with what stands on its disk
and what is watched of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.ca import keys
from reconciler.ca.tokens import Claims, Refused, Verdict
from reconciler.vips.allocation import Allocations
from xds.resource import LISTENER

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.state import MeshState
    from reconciler.steps import global_state as g
    from reconciler.steps import zone_state as z
    from tests.simulation.envoy import SimEnvoy
    from tests.simulation.network import Stream
    from tests.simulation.status import SimStatus

SETTLES_S = 15.0  # beyond which a proxy that was disturbed is a part of its zone again


@dataclass
class SimGlobal:
    state: g.GlobalState
    up: bool = True
    kept: str | None = None  # on its disk: the revision last in force
    accepted: str | None = None  # there, too: what an operator accepted
    relayed: dict[str, dict[ResourceKey, MeshResource]] = field(default_factory=dict)  # there, too
    lost: bool = False  # there, too: what zones had sent was lost and is not all here again
    # What a zone had sent and had not yet committed when we started: its ref counts (`refs_read`)
    # until it is back, and says less. (zone, service)
    ahead: frozenset[tuple[str, str]] = frozenset()
    ahead_until: float = 0.0
    asked_for: set[str] = field(default_factory=set)  # accepted by the operator and not in force
    published: set[str] = field(default_factory=set)  # commits that were ever in force
    numbers: set[int] = field(default_factory=set)  # of these commits


@dataclass
class SimZone:
    name: str
    status: SimStatus
    state: z.ZoneState
    up: bool = True
    disk: dict[str, dict[ResourceKey, MeshResource]] = field(default_factory=dict)
    vips: Allocations = field(default_factory=Allocations)  # there, too
    lost: set[str] = field(default_factory=set)  # kinds that its disk lost and has not all again
    ingresses: frozenset[tuple[str, str]] = frozenset()  # (zone, service) it could reach last
    revision: str | None = None
    session: str | None = None
    streams: dict[str, Stream] = field(default_factory=dict)  # its two KDS streams
    responses: int = 0  # discovery responses sent to proxies and to the global
    checked: object = None


@dataclass
class SimProxy:
    zone: str
    envoy: SimEnvoy
    stream: Stream | None = None
    stream_id: str | None = None
    up: bool = True
    wanted: bool = True  # False: nobody starts it again
    away_until: float = 0.0  # no way to its zone
    revoked_at: float = -math.inf  # the last commit that revokes its token
    disturbed: float = -math.inf  # by something that is no loss of a control plane
    reaches: frozenset[str] = frozenset()  # addresses it could send to last
    health: str | None = None  # its HDS stream
    healthy: bool = True
    tries: int = 0  # to connect, since it received something

    @property
    def listens(self) -> bool:
        return bool(self.envoy.held.get(LISTENER))

    def rests(self, now: float) -> bool:
        """Nothing but a fault of ours may take its endpoint out now."""
        undisturbed = now - max(self.disturbed, self.revoked_at) > SETTLES_S
        return self.up and self.healthy and self.listens and undisturbed


def verify(policy: MeshState, proxy: MeshResource, _token: str, _now: float) -> Verdict:
    """A token's id is the name of its proxy."""
    mesh = proxy.key.mesh
    revoked = keys.revoked(policy, "Secret", mesh, keys.dataplane_revocations(mesh))
    if proxy.key.name in revoked:
        return Refused("revoked")
    return Claims(token_id=proxy.key.name)
