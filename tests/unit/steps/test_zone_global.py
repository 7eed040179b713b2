"""What the global sends, as a zone takes it: a revision as a whole or not at all, in whatever order
it comes, and nothing lost by what cannot be understood.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.kds.names import hashed_name
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST, RELAYED_TYPES
from reconciler.model.resource import Labels, ResourceKey, canonical_json
from reconciler.state import EMPTY, from_resources
from reconciler.steps import zone_state as z
from reconciler.steps.zone_global import INCOMPLETE_MAX_S
from tests.support.slices import sliced as sliced_as
from tests.support.zone import INGRESS, MESH, Zone, dataplane, policy, zone
from xds.discovery import DeltaRequest, DeltaResponse

if TYPE_CHECKING:
    import pytest

    from reconciler.kds.slice import Slice
    from reconciler.model.resource import MeshResource
    from xds.resource import XdsResource

OWNED_TYPES = tuple(t for t in GLOBAL_TO_ZONE_TYPES if t not in RELAYED_TYPES)


def timeout(name: str, seconds: int) -> MeshResource:
    default = {"connectionTimeout": f"{seconds}s"}
    spec = {"to": [{"targetRef": {"kind": "Mesh"}, "default": default}]}
    return policy("MeshTimeout", name, spec)


def sliced(commit: str, *policies: MeshResource) -> Slice:
    return sliced_as(None, "east", commit, from_resources((MESH, *policies)), EMPTY)


@dataclass
class Followed:
    """A zone with a session, and what it has been sent."""

    zone: Zone = field(default_factory=zone)
    sent: dict[str, dict[str, XdsResource]] = field(default_factory=dict)
    nonces: int = 0
    sessions: int = 0

    def connect(self) -> None:
        self.sessions += 1
        self.sent = {}
        self.zone.deliver(z.GlobalConnected(self.session))

    @property
    def session(self) -> str:
        return f"g{self.sessions}"

    def send(self, found: Slice, *types: str) -> list[z.Effect]:
        """The difference to what it was sent before in these types."""
        effects: list[z.Effect] = []
        for type_ in types:
            want, held = dict(found.types[type_]), self.sent.get(type_, {})
            changed = tuple(r for name, r in want.items() if held.get(name) != r)
            effects += self.give(type_, changed, tuple(held.keys() - want.keys()))
            self.sent[type_] = want
        return effects

    def give(
        self, type_: str, resources: tuple[XdsResource, ...], removed: tuple[str, ...] = ()
    ) -> list[z.Effect]:
        self.nonces += 1
        response = DeltaResponse(type_, str(self.nonces), resources, removed)
        return self.zone.deliver(z.GlobalResponse(self.session, response, self.zone.now))

    def answer(self) -> str | None:
        """The error in its last answer; None for an ACK."""
        found = [e for e in self.zone.effects if isinstance(e, z.ToGlobalRequest)]
        return found[-1].request.error

    def policies(self) -> set[str]:
        return {r.display_name for r in self.zone.state.policy.of("MeshTimeout")}

    def notes(self) -> dict[str, dict[str, object]]:
        return {e.event: dict(e.fields) for e in self.zone.effects if isinstance(e, z.Note)}


def revised(followed: Followed, commit: str, *policies: MeshResource) -> list[z.Effect]:
    return followed.send(sliced(commit, *policies), *OWNED_TYPES, MANIFEST)


def following(first: Slice) -> Followed:
    made = Followed()
    made.connect()
    made.send(first, *OWNED_TYPES, MANIFEST)
    assert made.zone.state.revision == first.revision
    return made


ONE = sliced("c1", timeout("a", 1))
TWO = sliced("c2", timeout("a", 2), timeout("b", 2))


def test_manifest_may_come_before_or_after_what_it_speaks_of() -> None:
    for order in (("MeshTimeout", MANIFEST), (MANIFEST, "MeshTimeout")):
        made = following(ONE)
        made.send(TWO, order[0])
        assert (made.zone.state.revision, made.policies()) == ("c1", {"a"})
        made.send(TWO, order[1])
        assert (made.zone.state.revision, made.policies()) == ("c2", {"a", "b"})


def test_what_was_staged_in_a_session_that_broke_is_no_half_of_the_next_ones_revision() -> None:
    made = following(ONE)
    made.send(TWO, "MeshTimeout")
    made.zone.deliver(z.GlobalDisconnected("g1", "cut"))
    made.connect()
    three = sliced("c3", timeout("a", 3))
    made.send(three, MANIFEST, "Mesh")
    assert (made.zone.state.revision, made.policies()) == ("c1", {"a"})
    made.send(three, *(t for t in OWNED_TYPES if t != "Mesh"))
    assert (made.zone.state.revision, made.policies()) == ("c3", {"a"})


def test_global_that_restarted_sends_all_again_and_nothing_changes() -> None:
    made = following(ONE)
    before = made.zone.state
    made.zone.deliver(z.GlobalDisconnected("g1", "UNAVAILABLE"))
    made.connect()
    made.send(ONE, *OWNED_TYPES, MANIFEST)
    assert made.zone.state.policy is before.policy
    assert not any(isinstance(e, z.Persist) for e in made.zone.effects)


def test_mesh_that_is_removed_goes_with_all_that_is_in_it() -> None:
    made = following(
        sliced("c1", timeout("a", 1), replace(MESH, key=replace(MESH.key, name="two")))
    )
    made.send(sliced_as(None, "east", "c2", EMPTY, EMPTY), *OWNED_TYPES, MANIFEST)
    assert made.zone.state.revision == "c2"
    assert not made.zone.state.policy.by_key


def unreadable(resource: MeshResource) -> XdsResource:
    """A policy as a newer global may send it: with a kind of target unknown here."""
    frame = next(iter(sliced("x", resource).types["MeshTimeout"].values()))
    carried = decode_entry("MeshTimeout", frame.entry)
    body = canonical_json({**carried.data, "targetRef": {"kind": "MeshNovelty"}})
    return encode_carried(replace(carried, body=body))


def test_policy_that_cannot_be_read_holds_the_revision_back_until_it_is_cured() -> None:
    """It is refused by name, said once more when nothing else comes, and no session is thrown
    away for it: the next commit cures it.
    """
    made = following(ONE)
    bad = unreadable(timeout("b", 2))
    good = tuple(r for r in TWO.types["MeshTimeout"].values() if r.name != bad.name)
    made.give("MeshTimeout", (*good, bad))
    error = made.answer()
    assert error is not None
    assert error.startswith(f"{bad.name}: ")
    made.send(TWO, MANIFEST)
    assert (made.zone.state.revision, made.policies()) == ("c1", {"a"})
    made.zone.tick(INCOMPLETE_MAX_S)
    assert bad.name in str(made.notes()["global.revision_incomplete"]["refused"])
    assert not any(isinstance(e, z.LeaveGlobal) for e in made.zone.effects)
    cured = next(r for r in TWO.types["MeshTimeout"].values() if r.name == bad.name)
    made.give("MeshTimeout", (cured,))
    assert made.answer() is None
    assert (made.zone.state.revision, made.policies()) == ("c2", {"a", "b"})
    made.zone.tick(INCOMPLETE_MAX_S)
    assert "global.revision_incomplete" not in made.notes()


def test_revision_that_was_lost_on_the_way_is_fetched_by_a_new_session() -> None:
    """A digest that never matches: nothing was refused here, so something did not arrive."""
    made = following(ONE)
    made.send(TWO, MANIFEST)
    made.zone.tick(INCOMPLETE_MAX_S / 2)
    made.give("MeshRetry", ())  # News: what is on its way may take its time.
    made.zone.tick(INCOMPLETE_MAX_S / 2)
    assert not any(isinstance(e, z.LeaveGlobal) for e in made.zone.effects)
    made.zone.tick(INCOMPLETE_MAX_S / 2)
    (leaving,) = (e for e in made.zone.effects if isinstance(e, z.LeaveGlobal))
    assert "c2 has not arrived whole" in leaving.reason
    assert made.zone.state.revision == "c1"


# --- relayed from other zones ---


def ingress(name: str, *, wire: str = "") -> XdsResource:
    labels = {"kuma.io/zone": "west", "kuma.io/origin": "global", "kuma.io/display-name": name}
    wire = wire or hashed_name("", name, Labels.of(labels))
    body = canonical_json({"networking": {"address": "10.0.0.1", "port": 10001}, "zone": "west"})
    return encode_carried(CarriedResource("ZoneIngress", "", wire, labels, body))


def test_ingress_of_another_zone_applies_while_a_revision_is_on_its_way() -> None:
    made = following(ONE)
    made.send(TWO, "MeshTimeout")
    made.give("ZoneIngress", (ingress("in"),))
    (other,) = made.zone.state.relayed.of("ZoneIngress")
    assert (other.display_name, made.zone.state.revision) == ("in", "c1")
    made.send(TWO, MANIFEST)
    assert made.zone.state.revision == "c2"
    assert made.zone.state.merged.get(other.key) == other


def test_ingress_of_another_zone_never_takes_the_place_of_our_own() -> None:
    made = following(ONE)
    made.zone.connect(INGRESS)
    made.give("ZoneIngress", (ingress("ingress", wire="ingress"),))
    assert "taken by a resource of this zone" in str(made.answer())
    (own,) = made.zone.state.merged.of("ZoneIngress")
    assert own == made.zone.state.local.of("ZoneIngress")[0]


def test_ingress_of_another_zone_that_goes_takes_none_of_ours_with_it() -> None:
    """It was there first, under the name that ours got later."""
    for removed in (True, False):
        made = following(ONE)
        made.give("ZoneIngress", (ingress("ingress", wire="ingress"),))
        made.zone.connect(INGRESS)
        if not removed:
            made.connect()
        made.give("ZoneIngress", (), ("ingress.",) if removed else ())
        assert made.zone.state.relayed.all() == ()
        assert made.zone.state.merged.of("ZoneIngress") == made.zone.state.local.of("ZoneIngress")


def test_ingress_offers_a_mesh_no_longer_and_again_as_soon_as_the_mesh_says_so() -> None:
    """Nobody comes or goes: the services change with the revision alone."""

    def mesh(mode: str) -> Slice:
        changed = mesh_resource(MESH.key, MESH.labels, {"meshServices": {"mode": mode}})
        return sliced_as(None, "east", mode, from_resources((changed,)), EMPTY)

    followed = following(sliced("c1"))
    followed.zone.connect(INGRESS)
    followed.zone.connect(dataplane("web", "web"))
    assert followed.zone.services == {"web": 1}
    followed.send(mesh("Exclusive"), "Mesh", MANIFEST)
    assert followed.zone.services == {}
    followed.send(mesh("Disabled"), "Mesh", MANIFEST)
    assert followed.zone.services == {"web": 1}


def test_manifest_alone_moves_the_revision() -> None:
    """A commit without changes for this zone is in force here all the same."""
    followed = following(sliced("c1", timeout("t", 1)))
    followed.send(sliced("c2", timeout("t", 1)), MANIFEST)
    assert followed.zone.state.revision == "c2"
    assert [e.revision for e in followed.zone.effects if isinstance(e, z.Persist)] == ["c2"]


def test_revision_is_on_disk_before_the_global_hears_of_it() -> None:
    followed = following(sliced("c1", timeout("t", 1)))
    effects = followed.send(sliced("c2", timeout("t", 2)), "MeshTimeout", MANIFEST)
    kinds = [type(e) for e in effects if isinstance(e, z.Persist | z.ToGlobalRequest)]
    assert kinds == [z.ToGlobalRequest, z.Persist, z.ToGlobalRequest]


def test_ingress_that_went_while_this_zone_was_away_is_dropped_at_the_first_answer() -> None:
    labels = Labels.of({"kuma.io/zone": "west", "kuma.io/origin": "zone"})
    data = {"zone": "west", "networking": {"address": "10.1.0.1", "port": 10001}}
    west = mesh_resource(ResourceKey("ZoneIngress", "", "in-west"), labels, data)
    made = sliced_as(None, "east", "c1", from_resources((MESH,)), from_resources((west,)))
    followed = following(made)
    followed.send(made, "ZoneIngress")
    assert len(followed.zone.state.relayed.of("ZoneIngress")) == 1
    followed.connect()
    followed.give("ZoneIngress", ())
    assert followed.zone.state.relayed.all() == ()


def test_what_a_kuma_global_cannot_read_is_not_sent_and_one_of_ours_gets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over the peer's limit, the stream would end, and the next one as well."""
    monkeypatch.setattr("reconciler.steps.zone_report.KUMA_MAX", 1000)
    made = Followed()
    for number in range(10):
        made.zone.connect(dataplane(f"web-{number}", "web"))
    made.connect()
    ask = DeltaRequest("Dataplane", subscribe=("*",))
    effects = made.zone.deliver(z.GlobalRequest(made.session, ask))
    assert not [e for e in effects if isinstance(e, z.ToGlobalResponse)]
    assert made.notes()["global.type_too_large"]["type"] == "Dataplane"
    made.zone.connect(dataplane("web-10", "web"))
    made.zone.tick(0.11)
    assert "global.type_too_large" not in made.notes()  # Said once.
    effects = made.send(ONE, MANIFEST)
    (sent,) = (e.response for e in effects if isinstance(e, z.ToGlobalResponse))
    assert len(sent.resources) == 11
    assert made.zone.state.link.held == frozenset()


def test_a_zones_own_limit_of_what_it_sends_is_a_setting_and_named() -> None:
    made = Followed()
    settings = replace(made.zone.state.settings, message_max=1000)
    made.zone.state = replace(made.zone.state, settings=settings)
    for number in range(10):
        made.zone.connect(dataplane(f"web-{number}", "web"))
    made.connect()
    made.send(ONE, MANIFEST)
    ask = DeltaRequest("Dataplane", subscribe=("*",))
    effects = made.zone.deliver(z.GlobalRequest(made.session, ask))
    assert not [e for e in effects if isinstance(e, z.ToGlobalResponse)]
    told = made.notes()["global.type_too_large"]
    assert (told["limit"], told["setting"]) == (1000, "--kds-message-bytes")
