"""The global's pure step, driven by hand: commits are loaded at the test's word, zones are streams
of values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.model.resource import Labels, MeshResource, ResourceKey, canonical_json
from reconciler.problems import Position, Problem
from reconciler.state import from_resources
from reconciler.steps import global_state as g
from reconciler.steps.global_step import step
from xds.discovery import DeltaRequest, DeltaResponse

if TYPE_CHECKING:
    from xds.resource import XdsResource

MESH = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
MISTAKE = Problem(Position("policies/t.yaml", 3, 5), "MT001", "not a duration; write 5s")


def timeout(milliseconds: int) -> MeshResource:
    spec = {
        "to": [
            {
                "targetRef": {"kind": "Mesh"},
                "default": {"connectionTimeout": f"{milliseconds}ms"},
            }
        ]
    }
    return mesh_resource(ResourceKey("MeshTimeout", "default", "t"), Labels(), spec)


def revision(commit: str, *resources: MeshResource, tree: str = "") -> g.Revision:
    held = from_resources((MESH, *resources))
    return g.Revision(commit, g.ReconcileKey(tree or commit, "settings"), held)


def ingress_entry(name: str, *, claims: str | None = None, instances: int = 1) -> XdsResource:
    """A ZoneIngress as a zone sends it, offering `backend`; `claims` is the zone its labels say."""
    body = {
        "type": "ZoneIngress",
        "name": name,
        "networking": {
            "address": "10.0.0.9",
            "port": 10001,
            "advertisedAddress": "203.0.113.7",
            "advertisedPort": 10001,
        },
        "availableServices": [
            {
                "tags": {"kuma.io/service": "backend"},
                "instances": instances,
                "mesh": "default",
            }
        ],
    }
    labels = {"kuma.io/zone": claims} if claims else {}
    carried = CarriedResource("ZoneIngress", "", name, labels, canonical_json(body))
    return encode_carried(carried)


@dataclass
class Global:
    """`loads` are the commits it asked for; `sent` are responses by session, until taken."""

    state: g.GlobalState = field(
        default_factory=lambda: g.GlobalState(g.GlobalSettings(instance="g", version="0"))
    )
    effects: tuple[g.Effect, ...] = ()
    loads: list[str] = field(default_factory=list)
    sent: dict[str, list[DeltaResponse]] = field(default_factory=dict)

    def deliver(self, event: g.Event) -> tuple[g.Effect, ...]:
        self.state, self.effects = step(self.state, event)
        for effect in self.effects:
            if isinstance(effect, g.Load):
                self.loads.append(effect.commit)
            elif isinstance(effect, g.SendResponse):
                self.sent.setdefault(effect.session, []).append(effect.response)
        return self.effects

    def publish(self, *resources: MeshResource, commit: str = "c1") -> None:
        self.deliver(g.TipMoved(commit))
        self.deliver(g.Loaded(revision(commit, *resources)))

    def connect(self, zone: str, identity: str = "key-1") -> None:
        """Both streams of a zone; it subscribes to what matters here and acknowledges it."""
        down, up = f"{zone}-down", f"{zone}-up"
        self.deliver(g.ZoneOpened(down, zone, True, identity, 0.0))
        self.deliver(g.ZoneOpened(up, zone, False, identity, 0.0))
        for type_ in ("Mesh", "MeshTimeout", "ZoneIngress", "RevisionManifest"):
            self.deliver(g.ZoneSubscribed(down, DeltaRequest(type_)))
        self.acknowledge(zone)

    def acknowledge(self, zone: str) -> list[str]:
        """The types that were sent down to it since, each acknowledged; what follows too."""
        down, types = f"{zone}-down", []
        while waiting := self.sent.pop(down, []):
            for response in waiting:
                types.append(response.type_url)
                self.deliver(
                    g.ZoneSubscribed(down, DeltaRequest(response.type_url, nonce=response.nonce))
                )
        return types

    def zone_sends(
        self, zone: str, *entries: XdsResource, nonce: str = "1", removed: tuple[str, ...] = ()
    ) -> None:
        response = DeltaResponse("ZoneIngress", nonce, entries, removed)
        self.deliver(g.ZonePublished(f"{zone}-up", response))

    def held(self, zone: str, type_: str) -> set[str]:
        """Names of what the zone's slice holds."""
        return set(self.state.slices[zone].types[type_])
