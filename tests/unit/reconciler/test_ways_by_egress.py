"""With `routing.zoneEgress` the only way to other zones is an egress of the own one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.instances import Place
from reconciler.topology import merged_by_address, sidecar_topology
from tests.support.mesh import a_dataplane, a_mesh, an_egress, an_inbound, an_ingress, offers

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from reconciler.topology import Topology
    from xds.view import Endpoint

THERE = an_ingress("west", offers("web", 3, zone="west", version="v1"))


def seen(
    *egresses: MeshResource,
    there: tuple[MeshResource, ...] = (THERE,),
    here: tuple[MeshResource, ...] = (),
    absent: frozenset[Any] = frozenset(),
    resolved: dict[str, str] | None = None,
    zone_egress: bool = True,
    locality_aware: bool = False,
) -> Topology:
    mesh = a_mesh(zone_egress=zone_egress, locality_aware=locality_aware)
    place = Place("east", absent, resolved or {})
    return sidecar_topology(mesh, here, there, place, egresses)


def web(topology: Topology) -> list[Endpoint]:
    return list(merged_by_address(topology.service("web").endpoints))


def at(topology: Topology) -> list[tuple[str, int]]:
    return [(e.address, e.port) for e in web(topology)]


def test_a_service_of_another_zone_is_at_each_egress_of_the_own_zone_and_nowhere_else() -> None:
    found = web(seen(an_egress("a"), an_egress("b", address="10.8.0.2")))
    assert [(e.address, e.port) for e in found] == [("10.8.0.1", 10002), ("10.8.0.2", 10002)]
    for each in found:
        assert (each.zone, each.tags) == ("west", (("kuma.io/zone", "west"), ("version", "v1")))
        assert each.via_egress


def test_without_zone_egress_it_is_at_the_ingress_of_the_other_zone() -> None:
    (found,) = web(seen(an_egress(), zone_egress=False))
    assert (found.address, found.port, found.via_egress) == ("203.0.113.1", 10001, False)


def test_without_an_egress_there_is_no_way_and_its_protocol_stays_known() -> None:
    there = an_ingress("west", offers("web", 3, zone="west", **{"kuma.io/protocol": "grpc"}))
    service = seen(there=(there,)).service("web")
    assert service.endpoints == ()
    assert service.protocol == "grpc"


def test_an_egress_that_is_away_or_of_another_zone_is_no_way() -> None:
    gone, foreign = an_egress("gone"), an_egress("foreign", address="10.8.0.2", zone="west")
    here = an_egress("here", address="10.8.0.3")
    assert at(seen(gone, foreign, here, absent=frozenset({gone.key}))) == [("10.8.0.3", 10002)]


def test_an_egress_with_a_name_is_a_way_once_the_name_has_an_address() -> None:
    named = an_egress(address="gate.example")
    assert at(seen(named)) == []
    assert at(seen(named, resolved={"gate.example": "10.8.0.9"})) == [("10.8.0.9", 10002)]


def test_two_egresses_at_one_place_are_one_way() -> None:
    assert at(seen(an_egress("a"), an_egress("b"))) == [("10.8.0.1", 10002)]


def test_calls_are_divided_by_instances_as_they_are_without_egresses() -> None:
    """Two here, three behind two ways in of one zone and one of another; by any number of
    egresses each instance gets its sixth.
    """
    there = (
        an_ingress("west", offers("web", 3, zone="west"), name="w1"),
        an_ingress("west", offers("web", 3, zone="west"), name="w2", address="203.0.113.2"),
        an_ingress("north", offers("web", 1, zone="north"), address="203.0.113.3"),
    )
    here = tuple(a_dataplane(f"web-{n}", an_inbound("web", address=f"10.0.0.{n}")) for n in (1, 2))
    for egresses in (
        [an_egress("a")],
        [an_egress(f"e{n}", address=f"10.8.0.{n}") for n in range(3)],
    ):
        found = web(seen(*egresses, there=there, here=here))
        local = [e.weight for e in found if not e.via_egress]
        away = [e.weight for e in found if e.via_egress]
        direct = web(seen(there=there, here=here, zone_egress=False))
        own = sum(e.weight for e in direct if e.address.startswith("10.0."))
        assert sum(local) * (sum(e.weight for e in direct) - own) == sum(away) * own
        assert sum(local) * 4 == sum(away) * 2
        assert len(set(away)) == 1


def test_locality_awareness_prefers_the_own_zone_to_the_egress() -> None:
    (found,) = web(seen(an_egress(), locality_aware=True))
    assert found.priority == 1


def test_a_service_of_this_zone_alone_is_as_it_is_without_egresses() -> None:
    """So that an egress that comes or goes changes nothing of it."""
    here = (a_dataplane("api", an_inbound("api")),)
    with_, without = (
        seen(*ways, here=here).service("api").endpoints
        for ways in ([an_egress("a"), an_egress("b", address="10.8.0.2")], [])
    )
    assert with_ == without


def test_a_change_of_egresses_concerns_the_services_of_other_zones_alone() -> None:
    here = (a_dataplane("api", an_inbound("api")),)
    before = seen(here=here)
    for name in ("api", "web"):
        before.service(name)
    mesh = a_mesh(zone_egress=True)
    after, services = before.followed(mesh, (), (THERE,), before.place, (an_egress(),))
    assert services == {"web"}
    assert at(after) == [("10.8.0.1", 10002)]
    again, none = after.followed(mesh, (), (THERE,), before.place, (an_egress(),))
    assert none == frozenset()
    assert again.service("web") is after.service("web")
