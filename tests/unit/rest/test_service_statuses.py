"""What is shown of services: a zone's own statuses whole, and which MeshServices are one in a
MeshMultiZoneService, at the global and in a zone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.rest.service_statuses import MultiZoneServices
from reconciler.rest.zone_catalogue import of_zone
from tests.support.mesh_services import mesh
from tests.support.rest import ask, catalogue, made
from tests.support.zone import START, dataplane, zone

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from reconciler.rest.catalogue import Catalogue

MULTI = "/meshes/default/meshmultizoneservices/all"


def multi(**labels: str) -> MeshResource:
    wanted = {f"kuma.io/{name.replace('_', '-')}": value for name, value in labels.items()}
    spec = {"selector": {"meshService": {"matchLabels": wanted}}, "ports": [{"port": 80}]}
    return made("MeshMultiZoneService", "all", spec)


def at_global(*resources: MeshResource) -> Catalogue:
    derived = {"MeshMultiZoneService": MultiZoneServices}
    return catalogue(made("Mesh", "default"), *resources, derived=derived)


def told(shown: Catalogue) -> dict[str, Any]:
    status, found = ask(shown, MULTI)
    assert status == 200
    (listed,) = ask(shown, "/meshes/default/meshmultizoneservices")[1]["items"]
    assert listed == found
    return dict(found["status"])


def test_a_multi_zone_service_says_which_services_are_one_in_it() -> None:
    shown = at_global(
        multi(display_name="backend"),
        made("MeshService", "backend-2", zone="west", display_name="backend"),
        made("MeshService", "backend-1", zone="east", display_name="backend"),
        made("MeshService", "other", zone="east", display_name="other"),
        made("MeshService", "backend-3", zone="east", display_name="backend", mesh="payments"),
    )
    place = {"name": "backend", "namespace": "", "mesh": "default"}
    assert told(shown) == {
        "conditions": [
            {
                "type": "MeshServicesMatched",
                "status": "True",
                "reason": "MatchesFound",
                "message": "Matched 2 MeshService(s)",
            }
        ],
        "meshServices": [{**place, "zone": "east"}, {**place, "zone": "west"}],
    }


def test_the_namespace_of_a_service_is_told() -> None:
    service = made("MeshService", "backend-1", zone="east", display_name="backend")
    labels = service.labels.with_labels({"k8s.kuma.io/namespace": "shop"})
    shown = at_global(multi(display_name="backend"), replace(service, labels=labels))
    (found,) = told(shown)["meshServices"]
    assert found["namespace"] == "shop"


def test_a_multi_zone_service_that_matches_nothing_says_so() -> None:
    assert told(at_global(multi(display_name="backend"))) == {
        "conditions": [
            {
                "type": "MeshServicesMatched",
                "status": "False",
                "reason": "NoMatchesFound",
                "message": "Selector does not match any MeshService in this zone",
            }
        ]
    }


def test_a_zone_shows_its_own_services_with_their_status_and_matches_all_zones() -> None:
    other = made("MeshService", "backend-x", zone="west", display_name="backend")
    east = zone(mesh(), multi(display_name="backend"), other)
    east.connect(dataplane("backend-0", "backend"))
    east.tick(1)
    shown = of_zone(east.state, hostname="zone", now=START + 5, items_max=1000)
    own = ask(shown, "/meshes/default/meshservices/backend")[1]
    assert own["status"]["dataplaneProxies"] == {"connected": 1, "healthy": 1, "total": 1}
    listed = ask(shown, "/meshes/default/meshservices")[1]["items"]
    assert listed[0] == own
    assert [each["name"] for each in listed] == ["backend", "backend-x"]
    assert [each["zone"] for each in told(shown)["meshServices"]] == ["east", "west"]


@pytest.mark.parametrize("path", ["meshservices/none", "meshmultizoneservices/none"])
def test_what_is_not_there_is_not_found(path: str) -> None:
    shown = of_zone(zone(mesh()).state, hostname="zone", now=START, items_max=1000)
    assert ask(shown, f"/meshes/default/{path}")[0] == 404


def generator(kind: str, template: str) -> MeshResource:
    spec = {"selector": {kind: {"matchLabels": {}}}, "template": template}
    return made("HostnameGenerator", f"of-{kind.lower()}", spec)


def test_a_zone_shows_the_names_and_addresses_that_services_have_there() -> None:
    """Also of what others made, whose own status says something else."""
    said = '{"tls":{"status":"Ready"},"vips":[{"ip":"241.9.9.9"}]}'
    theirs = replace(made("MeshService", "api-x", zone="west", display_name="api"), status=said)
    east = zone(
        mesh(),
        multi(display_name="api"),
        theirs,
        made("MeshExternalService", "files", {"match": {"port": 443, "protocol": "tcp"}}),
        generator("meshService", "{{ .DisplayName }}.{{ .Zone }}.x"),
        generator("meshExternalService", "{{ .Name }}.ext"),
        generator("meshMultiZoneService", "{{ .Name }}.multi"),
    )
    east.connect(dataplane("backend-0", "backend"))
    east.tick(1)
    shown = of_zone(east.state, hostname="zone", now=START + 5, items_max=1000)

    def names(path: str) -> tuple[list[str], object, object]:
        found = ask(shown, f"/meshes/default/{path}")[1]
        listed = ask(shown, f"/meshes/default/{path.partition('/')[0]}")[1]["items"]
        assert found in listed
        status = found["status"]
        hosts = [each["hostname"] for each in status["addresses"]]
        return hosts, status.get("vip", status.get("vips")), status.get("tls")

    ip = "ip"
    own = ["backend.svc.mesh.local", "backend.east.x"]
    assert names("meshservices/backend") == (own, [{ip: "241.0.0.1"}], {"status": "NotReady"})
    west = (["api.west.x"], [{ip: "241.0.0.0"}], {"status": "Ready"})
    assert names("meshservices/api-x") == west
    assert names("meshexternalservices/files") == (["files.ext"], {ip: "242.0.0.0"}, None)
    assert names("meshmultizoneservices/all") == (["all.multi"], [{ip: "243.0.0.0"}], None)
    assert [each["zone"] for each in told(shown)["meshServices"]] == ["west"]


def test_a_status_is_as_it_was_said_while_nobody_has_asked_for_names() -> None:
    said = '{"tls":{"status":"Ready"}}'
    theirs = replace(made("MeshService", "api-x", zone="west"), status=said)
    shown = of_zone(zone(mesh(), theirs).state, hostname="zone", now=START, items_max=1000)
    found = ask(shown, "/meshes/default/meshservices/api-x")[1]
    assert found["status"]["tls"] == {"status": "Ready"}


def test_names_that_others_gave_a_service_are_not_its_names_here() -> None:
    said = '{"addresses":[{"hostname":"api.west.corp"}],"tls":{"status":"Ready"}}'
    theirs = replace(made("MeshService", "api-x", zone="west"), status=said)
    east = zone(mesh(), theirs)
    east.connect(dataplane("backend-0", "backend"))
    state = east.state

    def status() -> dict[str, object]:
        shown = of_zone(state, hostname="zone", now=START, items_max=1000)
        return dict(ask(shown, "/meshes/default/meshservices/api-x")[1]["status"])

    expected = {"tls": {"status": "Ready"}, "vips": [{"ip": "241.0.0.0"}]}
    assert status() == expected
    state = replace(state, contexts=state.stale, stale=state.contexts)  # while it is made anew
    assert status() == expected
