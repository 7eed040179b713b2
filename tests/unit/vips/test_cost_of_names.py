"""What a change costs among a thousand services and ten thousand MeshServices: counters."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.collection import collected
from reconciler.model.resource import ORIGIN, SERVICE, ZONE
from reconciler.vips import basis, hostnames, wanted
from reconciler.vips.entries import Entry, EntryKind
from tests.support.mesh import a_dataplane, a_mesh_service, an_inbound, an_ingress, offers
from tests.support.names import a_generator, a_virtual_outbound, by_type, service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.collection import Collection
    from reconciler.model.resource import MeshResource
    from reconciler.vips.wanted import Wanted

SERVICES, REALS = 1_000, 10_000


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often something is computed."""
    found: Counter[str] = Counter()

    def counting(module: Any, name: str) -> None:
        real: Callable[..., object] = getattr(module, name)

        def counted(*args: object) -> object:
            found[name] += 1
            return real(*args)

        monkeypatch.setattr(module, name, counted)

    counting(basis, "of_tags")
    counting(wanted, "_found")
    counting(hostnames, "host_name")
    counting(basis, "_counted")
    return found


def instance(at: int, of: int, *, healthy: bool = True) -> MeshResource:
    return a_dataplane(f"d{at}", an_inbound(f"s{of}", tags={"version": "1"}, healthy=healthy))


def a_zone() -> tuple[Wanted, Mapping[str, Collection]]:
    west = an_ingress("west", *(offers(f"s{at}", version="1") for at in range(SERVICES)))
    things = by_type(
        west,
        a_virtual_outbound("v", "{{.srv}}.corp", "80", {SERVICE: "*"}),
        *(instance(at, at) for at in range(SERVICES)),
    )
    found, _ = wanted.nothing("default", "east").followed(things)
    assert len(found.holders) == 2 * SERVICES
    return found, things


def test_an_endpoint_that_comes_turns_or_goes_computes_nothing(counts: Counter[str]) -> None:
    found, things = a_zone()
    counts.clear()
    dataplanes = things["Dataplane"]
    for change in ({"x": instance(-1, 7)}, {"d7": instance(7, 7, healthy=False)}, {"x": None}):
        dataplanes = dataplanes.changed(change)
        same, differing = found.followed({**things, "Dataplane": dataplanes})
        assert same is found
        assert differing == frozenset()
    assert counts.keys() == {"_counted"}
    counts.clear()
    found.followed({**things, "Dataplane": dataplanes})
    assert counts == {}  # it was looked at already


def test_the_last_instance_of_the_zone_computes_its_service_alone(counts: Counter[str]) -> None:
    found, things = a_zone()
    counts.clear()
    dataplanes = things["Dataplane"].changed({"d8": None})
    same, _ = found.followed({**things, "Dataplane": dataplanes})
    assert same is found  # another zone has it still
    assert (counts["of_tags"], counts["_found"]) == (1, 2)


def test_one_more_instance_in_another_zone_computes_nothing(counts: Counter[str]) -> None:
    found, things = a_zone()
    counts.clear()
    more = [offers(f"s{at}", 2 if at == 7 else 1, version="1") for at in range(SERVICES)]
    ingresses = collected([an_ingress("west", *more)])
    assert found.followed({**things, "ZoneIngress": ingresses})[0] is found
    assert counts.keys() == {"_counted"}


def test_a_service_that_comes_computes_itself(counts: Counter[str]) -> None:
    found, things = a_zone()
    counts.clear()
    dataplanes = things["Dataplane"].changed({"x": instance(-1, SERVICES)})
    _, differing = found.followed({**things, "Dataplane": dataplanes})
    assert differing == {service(f"s{SERVICES}"), Entry(EntryKind.FQDN, f"s{SERVICES}.corp")}
    assert (counts["of_tags"], counts["_found"]) == (1, 2)


def test_one_mesh_service_among_ten_thousand_is_named_alone(counts: Counter[str]) -> None:
    def named(at: int, **more: str) -> MeshResource:
        labels = {ORIGIN: "zone", ZONE: "east", **more}
        return a_mesh_service(f"b{at}", labels, spec={"ports": [{"port": 80}]})

    things = by_type(
        a_generator("one", "{{ .DisplayName }}.svc", {ORIGIN: "zone"}),
        a_generator("two", '{{ label "x" }}.svc', {"x": "y"}),
        *(named(at) for at in range(REALS)),
    )
    found, _ = wanted.nothing("default", "east").followed(things)
    assert counts["host_name"] == REALS
    counts.clear()
    services = things["MeshService"].changed({"b7": named(7, x="y")})
    after, differing = found.followed({**things, "MeshService": services})
    entry = Entry(EntryKind.MESH_SERVICE, "b7")
    assert differing == {entry}
    assert after.holders[entry].names == ("b7.svc", "y.svc")
    assert (counts["host_name"], counts["_found"]) == (2, 1)
    counts.clear()
    ready = a_mesh_service("b8", {ORIGIN: "zone"}, spec={"ports": [{"port": 80}], "state": "x"})
    services = things["MeshService"].changed({"b8": replace(named(8), spec=ready.spec)})
    assert found.followed({**things, "MeshService": services})[0] is found
    assert counts["host_name"] == 0
