"""Resources one by one and in lists: every kind, at the global and in a zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.rest.endpoints import ENDPOINTS
from reconciler.rest.paths import SHOWN, spellings
from reconciler.rest.reading import DERIVED_ELSEWHERE
from reconciler.state import MeshState, from_resources
from tests.support.rest import IN_GIT, ask, catalogue, global_catalogue, made, names, zone_catalogue

if TYPE_CHECKING:
    from reconciler.model.kinds import Kind

KINDS_READ = [kind for kind in SHOWN if kind.name not in DERIVED_ELSEWHERE]


@pytest.mark.parametrize("kind", KINDS_READ, ids=lambda kind: kind.name)
def test_every_kind_is_listed_and_each_of_its_list_is_read(kind: Kind) -> None:
    for shown in (global_catalogue(), zone_catalogue()):
        for path in spellings(kind):
            status, everywhere = ask(shown, f"/{path}")
            assert status == 200
            assert everywhere.keys() == {"total", "items", "next"}
            for item in everywhere["items"]:
                mesh = f"/meshes/{item['mesh']}" if kind.mesh_scoped else ""
                assert ask(shown, f"{mesh}/{path}/{item['name']}") == (200, item)
            if kind.mesh_scoped:
                assert ask(shown, f"/meshes/default/{path}")[1]["items"] == everywhere["items"]
                assert ask(shown, f"/meshes/other/{path}")[1]["title"] == "Failed to retrieve Mesh"
                assert ask(shown, f"/meshes/default/{path}/none")[0] == 404
            else:
                assert ask(shown, f"/{path}/none")[1]["title"] == "Could not retrieve a resource"


@pytest.mark.parametrize("type_", [kind for kind in IN_GIT if "Secret" not in kind])
def test_what_a_repository_holds_is_there(type_: str) -> None:
    path = next(kind.path for kind in SHOWN if kind.name == type_)
    assert ask(global_catalogue(), f"/{path}")[1]["total"] > 0


def test_secrets_are_nobodys_to_read() -> None:
    shown = catalogue(
        made("Mesh", "default"),
        made("Secret", "s", {"data": "eA=="}),
        made("GlobalSecret", "g", {"data": "eA=="}),
    )
    for path in ("/secrets", "/meshes/default/secrets", "/globalsecrets", "/global-secrets"):
        assert names(shown, path) == []  # 200: kumactl export asks for them
    for path in ("/meshes/default/secrets/s", "/globalsecrets/g"):
        assert ask(shown, path)[0] == 404


def test_lists_are_sorted_by_mesh_and_name_whoever_holds_them() -> None:
    git = from_resources((made("Mesh", "a"), made("Mesh", "b"), made("MeshTimeout", "m", mesh="b")))
    east = from_resources((made("MeshTimeout", "z", mesh="a"), made("MeshTimeout", "n", mesh="b")))
    west = from_resources((made("MeshTimeout", "a", mesh="b"),))
    shown = catalogue(layers=(git, east, west))
    assert names(shown, "/meshtimeouts") == ["z", "a", "m", "n"]
    assert names(shown, "/meshes/b/meshtimeouts") == ["a", "m", "n"]
    assert ask(shown, "/meshes/b/meshtimeouts/a")[0] == 200


def test_of_two_endpoints_for_a_path_the_literal_one_comes_first() -> None:
    paths = [endpoint.path for endpoint in ENDPOINTS]
    assert paths.index("/meshes/{mesh}/dataplanes/_overview") < paths.index(
        "/meshes/{mesh}/dataplanes/{name}"
    )
    assert len(paths) == len(set(paths))


def test_what_is_derived_is_computed_once_for_a_request() -> None:
    """And not for each of a thousand proxies."""
    computed: list[str] = []

    def insights(_catalogue: object) -> MeshState:
        computed.append("once")
        return from_resources((made("ZoneInsight", "a"), made("ZoneInsight", "b")))

    zones = from_resources((made("Zone", "a"), made("Zone", "b")))
    shown = catalogue(layers=(zones,), derived={"ZoneInsight": insights})
    assert names(shown, "/zones/_overview") == ["a", "b"]
    assert computed == ["once"]
