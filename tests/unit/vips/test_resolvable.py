"""What proxies are told: outbounds at addresses, their names, and which of them they may have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.model.resource import DISPLAY_NAME, SERVICE, ZONE
from reconciler.model.spec import Outbound, ReachableBackend, TagDestination, TransparentProxying
from reconciler.real import Reals
from reconciler.vips import pieces
from reconciler.vips import resolvable as resolvable_module
from reconciler.vips.allocation import Allocations, Pools
from reconciler.vips.entries import Entry, EntryKind, Holder, Port, to_service
from reconciler.vips.resolvable import MOMENTS_MAX, Reach, Resolvable, mapped
from reconciler.vips.wanted import precedence
from tests.support.mesh import a_dataplane, a_mesh_service, an_external, an_inbound
from tests.support.names import (
    a_generator,
    a_mesh_external,
    a_virtual_outbound,
    by_type,
    fqdn,
    service,
    wanted,
)
from tests.support.real import SPEC

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.resource import MeshResource

GENERATORS = (
    a_generator("ms", "{{ .DisplayName }}.svc.{{ .Zone }}.mesh"),
    a_generator("mes", "{{ .DisplayName }}.extsvc", kind="meshExternalService"),
)
PORTS = [{"port": 80, "name": "web"}, {"port": 90, "name": "admin"}]
OURS = a_mesh_service("backend", {ZONE: "east", "app": "b"}, spec={**SPEC, "ports": PORTS})
THEIRS = a_mesh_service(
    "backend", {ZONE: "west", "app": "b"}, spec={**SPEC, "ports": PORTS}, key="backend-x"
)
ALL = (
    a_dataplane("a", an_inbound("s1"), an_inbound("s2", port=90)),
    an_external("pay", "pay.example:443"),
    OURS,
    THEIRS,
    a_mesh_external("files", 8443),
    *GENERATORS,
)


def resolvable(*resources: MeshResource) -> Resolvable:
    found = wanted(*resources)
    held, _ = Allocations().followed("default", found.entries, 0.0, Pools())
    return Resolvable().followed(found.holders, held.of("default"), found.holders)


def reals(*resources: MeshResource) -> Reals:
    changes = ((None, r) for r in resources if r.key.type.startswith("Mesh"))
    return Reals().followed(changes)[0]


def told(mode: str = "Everywhere", reach: Reach = Reach(), zone: str = "east") -> set[str]:  # noqa: B008
    """The names, with the ports at their address."""
    return shown(resolvable(*ALL).for_reachable(mode, reach, reals(*ALL), zone))


def shown(found: Resolvable) -> set[str]:
    ports: dict[str, list[int]] = {}
    for outbound in found.outbounds:
        ports.setdefault(outbound.address, []).append(outbound.port)
    return {f"{name} {','.join(map(str, ports[at[0]]))}" for name, at in found.domains}


LEGACY = {"s1.mesh 80", "s2.mesh 80", "pay.mesh 80,443", "pay.example 80,443"}
OWN, OTHER, FILES = (
    "backend.svc.east.mesh 80,90",
    "backend.svc.west.mesh 80,90",
    "files.extsvc 8443",
)
REAL = {OWN, OTHER, FILES}


def test_outbounds_are_at_the_addresses_of_their_names_in_order() -> None:
    found = resolvable(a_dataplane("a", an_inbound("s1")), an_external("pay", "1.2.3.4:443"))
    assert found.outbounds == (
        Outbound("1.2.3.4", 443, TagDestination(((SERVICE, "pay"),))),
        Outbound("240.0.0.0", 80, TagDestination(((SERVICE, "pay"),))),
        Outbound("240.0.0.0", 443, TagDestination(((SERVICE, "pay"),))),
        Outbound("240.0.0.1", 80, TagDestination(((SERVICE, "s1"),))),
    )
    assert found.domains == (("pay.mesh", ("240.0.0.0",)), ("s1.mesh", ("240.0.0.1",)))


def test_ipv4_has_another_form_and_ipv6_has_none() -> None:
    assert mapped("240.0.0.1") == "::ffff:f000:1"
    assert mapped("241.2.255.0") == "::ffff:f102:ff00"
    assert mapped("fd00::1") is None


def test_without_an_address_there_is_no_name() -> None:
    found = wanted(a_dataplane("a", an_inbound("s1")))
    assert Resolvable().followed(found.holders, {}, found.holders).domains == ()


@pytest.mark.parametrize(
    ("mode", "reach", "names"),
    [
        ("Everywhere", Reach(), LEGACY | REAL),
        ("Disabled", Reach(), LEGACY | REAL),
        ("Exclusive", Reach(), REAL),
        ("ReachableBackends", Reach(), LEGACY),
        ("ReachableBackends", Reach(backends=(ReachableBackend("MeshExternalService", "files"),)),
         LEGACY | {FILES}),
        ("Everywhere", Reach(frozenset({"s1", "none"})), {"s1.mesh 80"}),
        ("Everywhere", Reach(frozenset({"pay"})), {"pay.mesh 80,443", "pay.example 80,443"}),
        ("Exclusive", Reach(frozenset({"s1"})), set[str]()),
        ("Everywhere", Reach(backends=()), LEGACY),
        ("Everywhere", Reach(frozenset({"s1"}), ()), {"s1.mesh 80"}),
    ],
)  # fmt: skip
def test_modes_and_reachable_services_decide_what_a_proxy_has(
    mode: str, reach: Reach, names: set[str]
) -> None:
    assert told(mode, reach) == names


@pytest.mark.parametrize(
    ("ref", "names"),
    [
        (ReachableBackend("MeshService", "backend"), {OWN}),
        (ReachableBackend("MeshService", "backend", port=90), {"backend.svc.east.mesh 90"}),
        (ReachableBackend("MeshService", "backend", port=91), set[str]()),
        (ReachableBackend("MeshService", "backend", "ns"), set[str]()),
        (ReachableBackend("MeshService", "nobody"), set[str]()),
        (ReachableBackend("MeshService", labels=(("app", "b"),)), {OWN, OTHER}),
        (ReachableBackend("MeshService", labels=(("app", "b"), (ZONE, "west"))), {OTHER}),
        (ReachableBackend("MeshService", labels=(("app", "b"),), port=80),
         {"backend.svc.east.mesh 80", "backend.svc.west.mesh 80"}),
        (ReachableBackend("MeshExternalService", "files", port=1), {FILES}),
        (ReachableBackend("MeshMultiZoneService", "backend"), set[str]()),
    ],
)  # fmt: skip
def test_reachable_backends_choose_real_services_and_their_ports(
    ref: ReachableBackend, names: set[str]
) -> None:
    assert told("Exclusive", Reach(backends=(ref,))) == names


def test_what_a_dataplane_says_it_calls_is_read_from_it() -> None:
    refs = (ReachableBackend("MeshService", "backend"),)
    said = TransparentProxying(0, 15001, reachable_services=("b", "a"), reachable_backends=refs)
    assert Reach.of(said) == Reach(frozenset({"a", "b"}), refs)
    assert Reach.of(TransparentProxying(0, 15001)) == Reach()


def test_several_references_add_up() -> None:
    refs = tuple(ReachableBackend("MeshService", "backend", port=port) for port in (80, 90))
    assert told("Exclusive", Reach(backends=refs)) == {OWN}


def test_a_name_that_two_have_leads_to_the_one_that_a_proxy_may_call() -> None:
    narrow = ({"name": "srv", "tagKey": SERVICE},)
    vob = a_virtual_outbound("v", "s2.mesh", "80", {SERVICE: "s1"}, parameters=narrow)
    found = resolvable(*ALL[:1], vob)
    names = dict(found.domains)
    assert names["s2.mesh"] == ("240.0.0.2",)  # as Kuma: what a VirtualOutbound makes goes first
    only = found.for_reachable("Everywhere", Reach(frozenset({"s2"})), Reals(), "east")
    assert dict(only.domains) == {"s2.mesh": ("240.0.0.1",)}


def test_proxies_that_say_the_same_share_and_keep_what_does_not_change() -> None:
    first, with_reals = resolvable(*ALL), reals(*ALL)
    reach = Reach(frozenset({"s1"}))
    assert first.for_reachable("Everywhere", Reach(), with_reals, "east") is first
    mine = first.for_reachable("Everywhere", reach, with_reals, "east")
    assert first.for_reachable("Everywhere", Reach(frozenset({"s1"})), with_reals, "east") is mine
    before = wanted(*ALL)
    after, differing = before.followed(by_type(*ALL, a_dataplane("b", an_inbound("s3"))))
    held, _ = Allocations().followed("default", before.entries, 0.0, Pools())
    held, _ = held.followed("default", after.entries, 0.0, Pools())
    second = first.followed(after.holders, held.of("default"), differing)
    assert differing == {service("s3")}
    assert len(second.outbounds) == len(first.outbounds) + 1
    assert second.for_reachable("Everywhere", reach, with_reals, "east") is mine
    assert second.followed(after.holders, held.of("default"), differing) is second
    gone = second.followed({}, {}, [service("s1"), fqdn("never")])
    assert gone.for_reachable("Everywhere", reach, with_reals, "east").outbounds == ()


def test_what_a_label_chooses_follows_the_labels() -> None:
    first, reach = (
        resolvable(*ALL),
        Reach(backends=(ReachableBackend("MeshService", labels=(("app", "b"),)),)),
    )
    assert shown(first.for_reachable("Exclusive", reach, reals(*ALL), "east")) == {OWN, OTHER}
    other = reals(*ALL[:3], *ALL[4:])
    assert shown(first.for_reachable("Exclusive", reach, other, "east")) == {OWN}


def test_a_name_means_what_the_zone_has_before_what_is_of_no_zone() -> None:
    globally = a_mesh_external("files", 8443, labels={DISPLAY_NAME: "files"})
    ours = a_mesh_service("x", {ZONE: "east", DISPLAY_NAME: "x"}, spec=SPEC, key="own")
    nobodys = a_mesh_service("x", {DISPLAY_NAME: "x"}, spec=SPEC, key="a-nobodys")
    theirs = a_mesh_service("x", {ZONE: "west", DISPLAY_NAME: "x"}, spec=SPEC, key="a-theirs")
    reach = Reach(backends=(ReachableBackend("MeshService", "x"),))
    names = a_generator("n", "{{ .Name }}.x")
    things = (globally, ours, nobodys, theirs, names)
    found = resolvable(*things).for_reachable("Exclusive", reach, reals(*things), "east")
    assert shown(found) == {"own.x 8080"}
    less = (globally, nobodys, theirs, names)
    found = resolvable(*less).for_reachable("Exclusive", reach, reals(*less), "east")
    assert shown(found) == {"a-nobodys.x 8080"}


def test_however_many_say_different_things_no_more_than_so_many_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who asked longest ago is found anew."""
    monkeypatch.setattr(resolvable_module, "CLASSES_MAX", 2)
    found = resolvable(*ALL)
    first, second = (
        found.for_reachable("Everywhere", Reach(frozenset({name})), Reals(), "east")
        for name in ("s1", "s2")
    )
    for name, known in (("s1", first), ("c", None), ("s1", first), ("d", None), ("s1", first)):
        told = found.for_reachable("Everywhere", Reach(frozenset({name})), Reals(), "east")
        assert known is None or told is known
    again = found.for_reachable("Everywhere", Reach(frozenset({"s2"})), Reals(), "east")
    assert again is not second
    assert again.domains == second.domains
    assert len(found._classes) == 2


def test_one_name_among_a_thousand_looks_at_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the mesh, and for each class of proxies that was told before."""
    many = [a_dataplane(f"d{at}", an_inbound(f"s{at}")) for at in range(1_000)]
    before = wanted(*many)
    held, _ = Allocations().followed("default", before.entries, 0.0, Pools())
    first = Resolvable().followed(before.holders, held.of("default"), before.holders)
    reach = Reach(frozenset({"s5", "new"}))
    assert len(first.for_reachable("Everywhere", reach, Reals(), "east").outbounds) == 1
    looked: list[str] = []
    monkeypatch.setattr(pieces.Piece, "only", counting(looked, pieces.Piece.only))
    monkeypatch.setattr(pieces, "precedence", counting(looked, precedence))
    after, differing = before.followed(by_type(*many, a_dataplane("x", an_inbound("new"))))
    held, _ = held.followed("default", after.entries, 0.0, Pools())
    second = first.followed(after.holders, held.of("default"), differing)
    assert len(second.outbounds) == 1_001
    mine = second.for_reachable("Everywhere", reach, Reals(), "east")
    assert [name for name, _ in mine.domains] == ["new.mesh", "s5.mesh"]
    assert len(looked) == 4  # its two pieces, and a name for the mesh and for the class
    looked.clear()
    for entry in map(service, ("s6", "s7", *(f"s{at}" for at in range(10, 10 + MOMENTS_MAX)))):
        second = second.followed(after.holders, {}, [entry])
    assert second.for_reachable("Everywhere", reach, Reals(), "east") is mine
    assert len(second.outbounds) == 1_001 - 2 - MOMENTS_MAX
    assert looked == ["only", "only"], "however long ago it asked"


def test_what_leads_to_a_service_follows_it_from_one_entry_to_another() -> None:
    """A class that says which services it calls looks at what leads to them, and at no more."""
    reach, vob = Reach(frozenset({"s2"})), {"name": "srv", "tagKey": SERVICE}
    to = [
        a_virtual_outbound("v", "x.mesh", "80", {SERVICE: s}, parameters=(vob,))
        for s in ("s1", "s2")
    ]
    dataplanes = (a_dataplane("a", an_inbound("s1"), an_inbound("s2", port=81)),)
    before = wanted(*dataplanes, to[0])
    held, _ = Allocations().followed("default", before.entries, 0.0, Pools())
    first = Resolvable().followed(before.holders, held.of("default"), before.holders)
    names = [name for name, _ in first.for_reachable("Everywhere", reach, Reals(), "east").domains]
    assert names == ["s2.mesh"]
    after, differing = before.followed(by_type(*dataplanes, to[1]))
    second = first.followed(after.holders, held.of("default"), differing)
    found = second.for_reachable("Everywhere", reach, Reals(), "east")
    assert [name for name, _ in found.domains] == ["s2.mesh", "x.mesh"]
    third = second.followed(before.holders, held.of("default"), differing)
    found = third.for_reachable("Everywhere", reach, Reals(), "east")
    assert [name for name, _ in found.domains] == ["s2.mesh"]
    assert dict(third._leading) == dict(first._leading), (
        "nothing is kept of what leads there no more"
    )


def counting(looked: list[str], real: Callable[..., object]) -> Callable[..., object]:
    def counted(*args: object) -> object:
        looked.append(real.__name__)
        return real(*args)

    return counted


A, B = fqdn("a"), fqdn("b")


def held_at(entry: Entry, *names: str, port: int = 80) -> Holder:
    return Holder(entry, (Port(port, to_service(entry.name), "x"),), names)


def test_of_two_at_one_place_the_first_has_it_and_the_other_when_it_goes() -> None:
    holders = {entry: held_at(entry, entry.name) for entry in (B, A)}
    at = dict.fromkeys((A, B), "10.0.0.1")
    found = Resolvable().followed(holders, at, [B]).followed(holders, at, [A])
    assert [each.destination for each in found.outbounds] == [to_service("a")]
    found = found.followed({B: holders[B]}, at, [A])
    assert [each.destination for each in found.outbounds] == [to_service("b")]
    back = found.followed(holders, at, [A, B])
    assert [each.destination for each in back.outbounds] == [to_service("a")]


def test_who_has_a_name_no_more_leaves_it_to_the_next() -> None:
    chief = Entry(EntryKind.MULTI_ZONE, "c")  # before all others
    at = {chief: "10.0.0.1", B: "10.0.0.2"}
    holders = {chief: held_at(chief, "x"), B: held_at(B, "x")}
    first = Resolvable().followed(holders, at, at)
    assert dict(first.domains) == {"x": ("10.0.0.1",)}
    second = first.followed({**holders, chief: held_at(chief, "y")}, at, [chief])
    assert dict(second.domains) == {"x": ("10.0.0.2",), "y": ("10.0.0.1",)}
    assert second.outbounds is first.outbounds
    third = second.followed({chief: held_at(chief, "y", port=81), B: holders[B]}, at, [chief])
    assert [each.port for each in third.outbounds] == [81, 80]
    assert third.domains is second.domains


def test_what_is_gone_is_gone_for_a_class_that_is_told_something_else_as_well() -> None:
    reach = Reach(backends=(ReachableBackend("MeshService", labels=(("app", "b"),)),))
    first = resolvable(*ALL)
    assert len(first.for_reachable("Exclusive", reach, reals(*ALL), "east").domains) == 2
    left = first.followed({}, {}, [Entry(EntryKind.MESH_SERVICE, "backend-x")])
    other = reals(*ALL[:3], *ALL[4:])
    assert shown(left.for_reachable("Exclusive", reach, other, "east")) == {OWN}
