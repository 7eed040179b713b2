"""Whom a MeshService selects, and by which ways other zones are entered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.collection import collected
from reconciler.instances import Place
from reconciler.model.resource import DISPLAY_NAME, SERVICE, ZONE, ResourceKey
from reconciler.model.services import decode_zone_address
from reconciler.real_services import WaysInto, ways_into
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    a_mesh_service,
    an_inbound,
    an_ingress,
    offers,
    resource,
)
from tests.support.real import (
    EAST,
    INTO_WEST,
    TO_OURS,
    a_backend,
    endpoints,
    view_of,
    web,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.spec import Inbound


def selecting(selector: Mapping[str, object], target: int | str, *inbounds: Inbound) -> list[int]:
    """The ports of the inbounds that are behind a port with that target."""
    ports = [{"port": 8080, "targetPort": target, "appProtocol": "http"}]
    service = a_backend("east", selector=selector, ports=ports)
    instance = a_dataplane("b1-shown", *inbounds, labels={ZONE: "east", DISPLAY_NAME: "b1"})
    return [e.port for e in endpoints(view_of(a_mesh(), service, instance, web(TO_OURS)), EAST)]


def test_inbounds_are_chosen_by_port_or_name() -> None:
    two = (an_inbound("backend", port=8080), an_inbound("backend", port=9090, name="main"))
    by_tag = {"dataplaneTags": {SERVICE: "backend"}}
    assert selecting(by_tag, 9090, *two) == [9090]
    assert selecting(by_tag, "main", *two) == [9090]
    assert selecting(by_tag, "none", *two) == []


def test_tags_choose_among_the_inbounds_of_one_proxy() -> None:
    one = an_inbound("backend", address="10.0.0.1", tags={"version": "v1"})
    other = an_inbound("backend", address="10.0.0.2", tags={"version": "v2"})
    selector = {"dataplaneTags": {SERVICE: "backend", "version": "v2"}}
    service = a_backend("east", selector=selector)
    view = view_of(a_mesh(), service, a_dataplane("b1", one, other), web(TO_OURS))
    assert [e.address for e in endpoints(view, EAST)] == ["10.0.0.2"]


def test_a_proxy_is_chosen_by_either_of_its_names_or_by_labels() -> None:
    inbound = an_inbound("backend", port=8080)
    for name in ("b1", "b1-shown"):
        assert selecting({"dataplaneRef": {"name": name}}, 8080, inbound) == [8080]
    assert selecting({"dataplaneRef": {"name": "b2"}}, 8080, inbound) == []
    labels = {DISPLAY_NAME: "b1"}
    assert selecting({"dataplaneLabels": {"matchLabels": labels}}, 8080, inbound) == [8080]


def test_by_name_the_own_zones_resource_goes_before_one_of_no_zone() -> None:
    spec = {"ports": [{"port": 8080, "appProtocol": "http"}]}
    of_none = a_mesh_service("backend", {}, spec=spec, key="a-backend")
    view = view_of(a_mesh(), of_none, a_backend("east"), web(TO_OURS))
    assert [each.cluster for each in view.endpoints] == [EAST]


def test_the_own_zones_address_is_no_way_for_its_own_proxies() -> None:
    spec = decode_zone_address({"address": "203.0.113.30", "port": 10009})
    key = ResourceKey("MeshZoneAddress", "default", "gate")
    ours = resource(key, spec, repr(spec), {ZONE: "east"})
    found = ways_into(a_mesh(), (INTO_WEST,), (ours,), Place("east"))
    assert found == {"west": (("203.0.113.7", 10001),)}


def test_ways_that_are_the_same_are_the_same_object() -> None:
    """An ingress that offers one service more makes nobody look at the ways again."""
    first = WaysInto().followed(a_mesh(), collected((INTO_WEST,)), collected(()), Place("east"))
    more = an_ingress(
        "west", offers("backend", 9, zone="west"), offers("x", zone="west"), address="203.0.113.7"
    )
    after = first.followed(a_mesh(), collected((more,)), collected(()), Place("east"))
    assert after.ways is first.ways
