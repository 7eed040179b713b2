"""The host names of a service as both control planes show them; the cases are those that Kuma's own
tests hold (facts/http-api.md 10).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.rest import ask, catalogue, made

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.model.resource import MeshResource

MS, MES, MZMS = "MeshService", "MeshExternalService", "MeshMultiZoneService"
SELECTORS = {MS: "meshService", MES: "meshExternalService", MZMS: "meshMultiZoneService"}
PATHS = {MS: "meshservices", MES: "meshexternalservices", MZMS: "meshmultizoneservices"}
WEST = {"zone": "west", "env": "universal", "display_name": "server"}
ANY_ZONE = "{{ .DisplayName }}.svc.{{ .Zone }}.mesh.local"
OWN = "{{ .DisplayName }}.svc.mesh.local"
Named = dict[str, list[str]]


def generator(kind: str, template: str, wanted: Mapping[str, str], **labels: str) -> MeshResource:
    matched = {f"kuma.io/{key}": value for key, value in wanted.items()}
    spec = {"selector": {SELECTORS[kind]: {"matchLabels": matched}}, "template": template}
    return made("HostnameGenerator", f"{template} {sorted(wanted)}", spec, **labels)


def names(
    mode: str, kind: str, labels: Mapping[str, str], *others: MeshResource, zone: str = "east"
) -> Named:
    more: dict[str, Any] = {"zone": zone} if mode == "zone" else {}
    service = made(kind, "s", None, **labels)
    shown = catalogue(made("Mesh", "default"), service, *others, mode=mode, **more)
    status, found = ask(shown, f"/meshes/default/{PATHS[kind]}/s/_hostnames")
    assert status == 200
    assert found["total"] == len(found["items"])
    assert [item["hostname"] for item in found["items"]] == sorted(
        item["hostname"] for item in found["items"]
    )
    return {item["hostname"]: [z["name"] for z in item["zones"]] for item in found["items"]}


@pytest.mark.parametrize(
    ("mode", "labels", "generators", "expected"),
    [
        # the global sees what a zone made as that zone does, and as others do
        ("global", {"origin": "zone", **WEST}, [generator(MS, ANY_ZONE, {"origin": "global"})],
         {"server.svc.west.mesh.local": ["west"]}),
        ("global", {"origin": "zone", **WEST},
         [generator(MS, OWN, {"origin": "zone", "env": "universal"}, origin="zone", zone="west")],
         {"server.svc.mesh.local": ["west"]}),
        ("global", {"origin": "global", **WEST},
         [generator(MS, ANY_ZONE, {"origin": "global", "env": "universal"}, origin="global"),
          generator(MS, "{{ .DisplayName }}.own", {"origin": "zone", "zone": "west"},
                    origin="zone", zone="west")],
         {"server.svc.west.mesh.local": ["west"], "server.own": ["west"]}),
        ("global", {"origin": "zone", **WEST},
         [generator(MS, ANY_ZONE, {"env": "universal"}),
          generator(MS, "{{ .DisplayName }}.two", {"origin": "zone", "zone": "west"})],
         {"server.svc.west.mesh.local": ["west"], "server.two": ["west"]}),
        ("global", {"origin": "zone", **WEST, "display_name": "Server"},
         [generator(MS, ANY_ZONE, {"origin": "global"})],
         {"Server.svc.west.mesh.local": ["west"]}),
        # a generator of another zone is for what it made, and for what comes to it
        ("global", {"origin": "zone", **WEST},
         [generator(MS, OWN, {"origin": "zone"}, origin="zone", zone="east")], {}),
        ("global", {"origin": "zone", **WEST},
         [generator(MS, OWN, {"origin": "global"}, origin="zone", zone="west")], {}),
        ("global", {"origin": "zone", **WEST},
         [generator(MS, OWN, {"origin": "global"}, origin="zone", zone="east")],
         {"server.svc.mesh.local": ["west"]}),
        # a zone has what it is, by all of its generators
        ("zone", {"origin": "zone", **WEST},
         [generator(MS, ANY_ZONE, {"origin": "global", "env": "universal"})], {}),
        ("zone", {"origin": "zone", **WEST},
         [generator(MS, OWN, {"origin": "zone", "env": "universal"}, origin="zone", zone="east")],
         {"server.svc.mesh.local": ["west"]}),
        ("zone", {"origin": "global", **WEST},
         [generator(MS, ANY_ZONE, {"origin": "global"}), generator(MS, OWN, {"origin": "zone"})],
         {"server.svc.west.mesh.local": ["west"]}),
        # what goes wrong for one generator is nothing to the others
        ("zone", {"origin": "zone", **WEST},
         [generator(MS, '{{ label "none" }}', {}), generator(MS, OWN, {})],
         {"server.svc.mesh.local": ["west"]}),
    ],
)  # fmt: skip
def test_a_mesh_service_has_the_names_of_its_own_zone_and_of_others(
    mode: str, labels: Mapping[str, str], generators: Sequence[MeshResource], expected: Named
) -> None:
    assert names(mode, MS, labels, *generators) == expected


@pytest.mark.parametrize(
    ("kind", "template"), [(MES, "{{ .Name }}.extsvc"), (MZMS, "{{ .Name }}.mzsvc")]
)
def test_what_is_of_no_zone_has_its_names_in_all_of_them(kind: str, template: str) -> None:
    """Kuma calls the zone by the name of the service."""
    known = [made("Zone", zone) for zone in ("west", "east")]
    globally = generator(kind, template, {"origin": "global"}, origin="global")
    suffix = template.removeprefix("{{ .Name }}")
    assert names("global", kind, {}, globally, *known) == {f"s{suffix}": ["east", "west"]}
    assert names("global", kind, {}, globally) == {f"s{suffix}": []}
    assert names("zone", kind, {"origin": "global"}, globally) == {f"s{suffix}": ["east"]}
    locally = generator(kind, "{{ .Zone }}.x", {}, origin="zone", zone="east")
    assert names("global", kind, {}, locally, *known) == {"east.x": ["east"]}


def test_what_stays_in_its_zone_has_its_names_there_alone() -> None:
    labels = {"origin": "zone", "zone": "west"}
    both = [generator(MES, f"x.{origin}", {"origin": origin}) for origin in ("zone", "global")]
    assert names("global", MES, labels, *both) == {"x.zone": ["west"]}


@pytest.mark.parametrize(("kind", "path"), PATHS.items())
def test_without_a_generator_there_are_none_and_without_a_service_no_answer(
    kind: str, path: str
) -> None:
    shown = catalogue(made("Mesh", "default"), made(kind, "s"))
    at = f"/meshes/default/{path}"
    assert ask(shown, f"{at}/s/_hostnames") == (200, {"total": 0, "items": []})
    assert ask(shown, f"{at}/other/_hostnames")[0] == 404
    assert ask(shown, f"/meshes/other/{path}/s/_hostnames")[0] == 404


def test_nothing_else_has_host_names() -> None:
    shown = catalogue(made("Mesh", "default"), made("MeshTimeout", "t"))
    for path in ("meshtimeouts/t", "dataplanes/d", "nonsense/x"):
        status, found = ask(shown, f"/meshes/default/{path}/_hostnames")
        assert (status, found["invalid_parameters"][0]["field"]) == (400, "serviceType")
