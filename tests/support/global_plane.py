"""The global's pure step, driven by hand: commits are loaded at the test's word, zones are streams
of values.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.kds.names import hashed_name
from reconciler.kds.zone_node import zone_node
from reconciler.model.resource import (
    DISPLAY_NAME,
    Labels,
    MeshResource,
    ResourceKey,
    canonical_json,
)
from reconciler.problems import Position, Problem
from reconciler.state import from_resources
from reconciler.steps import global_state as g
from reconciler.steps.global_step import step
from xds.discovery import DeltaRequest, DeltaResponse, Node

if TYPE_CHECKING:
    from xds.resource import XdsResource

MESH = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})
TYPES = ("Mesh", "MeshTimeout", "ZoneIngress", "RevisionManifest")
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


def ingress_name(zone: str, name: str) -> str:
    return hashed_name("", name, Labels.of({"kuma.io/zone": zone}))


def named_by(zone: str, entry: XdsResource) -> XdsResource:
    """The ingress under the name that the zone gives it."""
    carried = decode_entry("ZoneIngress", entry.entry)
    labels = {DISPLAY_NAME: carried.name, **carried.labels}
    return encode_carried(replace(carried, name=ingress_name(zone, carried.name), labels=labels))


@dataclass
class Global:
    """`loads` are the commits it asked for; `sent` are responses by session, until taken."""

    state: g.GlobalState = field(
        default_factory=lambda: g.GlobalState(g.GlobalSettings(instance="g", version="0"))
    )
    effects: tuple[g.Effect, ...] = ()
    loads: list[str] = field(default_factory=list)
    sent: dict[str, list[DeltaResponse]] = field(default_factory=dict)
    offers: bool = True  # False: turns of offering come at the test's word only

    def deliver(self, event: g.Event) -> tuple[g.Effect, ...]:
        """All that follows from the event, turns of offering included."""
        self.effects = self.once(event)
        while self.offers and g.OfferSoon() in self.effects:
            rest = tuple(e for e in self.effects if e != g.OfferSoon())
            self.effects = (*rest, *self.once(g.OfferDue()))
        return self.effects

    def once(self, event: g.Event) -> tuple[g.Effect, ...]:
        self.state, effects = step(self.state, event)
        for effect in effects:
            if isinstance(effect, g.Load):
                self.loads.append(effect.commit)
            elif isinstance(effect, g.SendResponse):
                self.sent.setdefault(effect.session, []).append(effect.response)
        return effects

    def publish(self, *resources: MeshResource, commit: str = "c1") -> None:
        self.deliver(g.TipMoved(commit))
        self.deliver(g.Loaded(revision(commit, *resources)))

    def connect(
        self, zone: str, identity: str = "key-1", *, types: tuple[str, ...] = TYPES, **said: object
    ) -> None:
        """Both streams of a zone; it subscribes to what matters here and acknowledges it. `said`
        takes the place of what its node's metadata says.
        """
        node = Node(zone, metadata={**zone_node(zone, zone, "0").metadata, **said})
        down, up = f"{zone}-down", f"{zone}-up"
        self.deliver(g.ZoneOpened(down, zone, True, identity, 0.0))
        self.deliver(g.ZoneOpened(up, zone, False, identity, 0.0))
        for type_ in types:
            self.deliver(g.ZoneSubscribed(down, DeltaRequest(type_, node)))
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
        """ZoneIngresses by their display names; each gets the name on the wire."""
        named = tuple(named_by(zone, entry) for entry in entries)
        gone = tuple(f"{ingress_name(zone, name)}." for name in removed)
        self.zone_says(zone, DeltaResponse("ZoneIngress", nonce, named, gone))

    def zone_says(self, zone: str, response: DeltaResponse) -> None:
        self.deliver(g.ZonePublished(f"{zone}-up", response))

    def held(self, zone: str, type_: str) -> set[str]:
        """Names of what the zone's slice holds."""
        shown = self.state.sessions[f"{zone}-down"].shown
        assert shown is not None
        return set(shown.types[type_])
