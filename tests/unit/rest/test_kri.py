"""Resource identifiers: written, read, and the resource behind one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.kds.names import hashed_name
from reconciler.model.resource import Labels, ResourceKey
from reconciler.rest.kri import Kri, key_of, kri_of, parsed
from reconciler.rest.paths import BY_SHORT
from tests.support.rest import ask, catalogue, made

WORDS = st.text(alphabet="abc-.0", max_size=8)


def test_a_resource_is_named_by_where_it_comes_from() -> None:
    assert kri_of(made("Mesh", "default")) == "kri_m____default_"
    carried = made("MeshTimeout", "t-abc", zone="east", display_name="t")
    assert kri_of(carried) == "kri_mt_default_east__t_"
    assert kri_of(carried, "http") == "kri_mt_default_east__t_http"
    assert kri_of(made("TrafficRoute", "all")) is None  # has no short name


@given(
    st.sampled_from(sorted(BY_SHORT)),
    WORDS,
    WORDS,
    WORDS,
    WORDS.filter(bool),
    WORDS,
)
def test_what_is_written_is_read_again(
    short: str, mesh: str, zone: str, namespace: str, name: str, section: str
) -> None:
    kri = Kri(BY_SHORT[short].name, mesh, zone, namespace, name, section)
    assert parsed(str(kri)) == kri


def test_further_parts_are_the_section_without_their_lines() -> None:
    found = parsed("kri_mt_default___t_a_b")
    assert found is not None
    assert found.section == "ab"


@pytest.mark.parametrize(
    "text", ["", "kri", "x_mt_default___t_", "kri_nonsense_default___t_", "kri_mt_default__t"]
)
def test_what_is_no_identifier_is_refused(text: str) -> None:
    assert parsed(text) is None
    status, found = ask(catalogue(), f"/_kri/{text}")
    assert (status, found["title"]) == (400, "Bad Request")


def test_own_resources_are_kept_by_name_and_others_by_the_name_they_came_with() -> None:
    own = Kri("MeshTimeout", "default", "", "", "t")
    assert key_of(own, "") == ResourceKey("MeshTimeout", "default", "t")
    east = Kri("MeshTimeout", "default", "east", "", "t")
    assert key_of(east, "east") == ResourceKey("MeshTimeout", "default", "t")
    labels = {"kuma.io/zone": "east", "kuma.io/display-name": "t"}
    hashed = hashed_name("default", "t", Labels.of(labels))
    assert key_of(east, "") == ResourceKey("MeshTimeout", "default", hashed)
    assert key_of(Kri("Mesh", "x", "", "", "default"), "") == ResourceKey("Mesh", "", "default")


def test_a_resource_is_answered_by_its_identifier_in_every_form() -> None:
    shown = catalogue(made("Mesh", "default"), made("MeshTimeout", "t"))
    status, found = ask(shown, "/_kri/kri_mt_default___t_")
    assert (status, found["name"]) == (200, "t")
    assert ask(shown, "/_kri/kri_mt_default___t_?format=k8s")[1]["kind"] == "MeshTimeout"
    assert ask(shown, "/_kri/kri_mt_default___other_")[0] == 404


def test_a_copy_of_a_zone_is_answered_by_the_identifier_it_says() -> None:
    name = hashed_name(
        "default", "t", Labels.of({"kuma.io/zone": "east", "kuma.io/display-name": "t"})
    )
    shown = catalogue(
        made("Mesh", "default"), made("MeshTimeout", name, zone="east", display_name="t")
    )
    _, found = ask(shown, f"/meshes/default/meshtimeouts/{name}")
    assert ask(shown, f"/_kri/{found['kri']}")[1] == found
