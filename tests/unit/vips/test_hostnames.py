"""Host names that HostnameGenerators make for real services."""

from __future__ import annotations

import pytest

from reconciler.model.resource import DISPLAY_NAME, NAMESPACE, ORIGIN, ZONE, Labels, ResourceKey
from reconciler.templates.tokens import TemplateError
from reconciler.vips.entries import Entry, EntryKind, FaultKind
from reconciler.vips.hostnames import Generated, host_name
from tests.support.mesh import a_mesh_service, a_multi_zone_service
from tests.support.names import a_generator, a_mesh_external, by_type, wanted
from tests.support.real import SPEC

NAME = "{{ .DisplayName }}.mesh"
BACKEND = Entry(EntryKind.MESH_SERVICE, "backend")


def external(name: str) -> Entry:
    return Entry(EntryKind.EXTERNAL, name)


def named(template: str, name: str = "backend", zone: str = "local", **labels: str) -> str:
    renamed = {"display": DISPLAY_NAME, "namespace": NAMESPACE, "zone_label": ZONE}
    given = Labels.of({renamed.get(key, key): value for key, value in labels.items()})
    return host_name(template, ResourceKey("MeshService", "default", name), given, zone)


def test_a_template_has_what_kuma_gives_it() -> None:
    assert named("{{ .Name }}.{{ .Mesh }}") == "backend.default"
    assert named("{{ .Name }}.{{ .Namespace }}.mesh", namespace="ns") == "backend.ns.mesh"
    assert named("{{ .Name }}.{{ .Namespace }}mesh") == "backend.mesh"
    assert named("{{ .Zone }}") == "local"
    assert named("{{ .Zone }}", zone_label="zone-1") == "zone-1"
    assert named(NAME, name="backend.ns") == "backend.ns.mesh"
    assert named(NAME, name="backend.ns", display="backend") == "backend.mesh"
    assert named("{{ .DisplayName }}x", display="") == "x"
    assert named('{{ label "app" }}.mesh', app="my-app") == "my-app.mesh"


@pytest.mark.parametrize(
    "template", ['{{ label "missing" }}', "{{ .Name[0 }}.mesh", "{{ .Title }}"]
)
def test_what_a_template_asks_for_in_vain_is_told(template: str) -> None:
    with pytest.raises(TemplateError):
        named(template)


def test_a_generator_names_what_it_selects_and_says_so() -> None:
    service = a_mesh_service("backend", {"app": "x", ZONE: "east"}, spec=SPEC)
    fits = a_generator("fits", NAME, {"app": "x"})
    found = wanted(service, fits, a_generator("other", "x.mesh", {"app": "y"}))
    assert found.holders[BACKEND].names == ("backend.mesh",)
    assert found.generated[BACKEND] == (Generated("fits", "backend.mesh", "Generated"),)
    without = wanted(service)
    assert without.holders[BACKEND].names == ()
    assert BACKEND not in without.generated


def test_what_is_no_port_is_left_out() -> None:
    found = wanted(a_mesh_service("backend", {}, spec={"ports": [{"port": 0}, {"port": 80}]}))
    assert [port.port for port in found.holders[BACKEND].ports] == [80]


def test_a_generator_is_for_one_kind_alone() -> None:
    both = (a_mesh_service("backend", {}, spec=SPEC), a_mesh_external("backend"))
    found = wanted(*both, a_generator("g", NAME, kind="meshExternalService"))
    assert found.holders[BACKEND].names == ()
    assert found.holders[external("backend")].names == ("backend.mesh",)
    multi = a_multi_zone_service("all", {"ports": [{"port": 80}]})
    every = wanted(multi, a_generator("g", NAME, kind="meshMultiZoneService"))
    (holder,) = every.holders.values()
    assert (holder.entry.kind, holder.names) == (EntryKind.MULTI_ZONE, ("all.mesh",))


def test_names_stand_in_the_order_of_their_generators() -> None:
    service = a_mesh_service("backend", {}, spec=SPEC)
    last_by_name = a_generator("z", "one.mesh", labels={ORIGIN: "zone"})
    found = wanted(
        service, a_generator("b", "two.mesh"), a_generator("a", "one.mesh"), last_by_name
    )
    assert [each.generator for each in found.generated[BACKEND]] == ["a", "b", "z"]
    assert {each.reason for each in found.generated[BACKEND]} == {"Generated"}
    assert found.holders[BACKEND].names == ("one.mesh", "two.mesh")


def test_of_two_that_would_have_one_name_the_first_has_it_and_the_other_says_who() -> None:
    found = wanted(
        a_mesh_external("other"), a_mesh_external("example"), a_generator("static", "static.mesh",
        kind="meshExternalService"),
    )  # fmt: skip
    assert found.holders[external("example")].names == ("static.mesh",)
    assert found.holders[external("other")].names == ()
    (lost,) = found.generated[external("other")]
    assert (lost.hostname, lost.reason) == ("", "Collision")
    assert lost.message == "Hostname collision with MeshExternalService: example"
    (fault,) = found.problems
    assert (fault.kind, fault.name) == (FaultKind.NAME, "other")
    assert fault.resources == ("MeshExternalService other", "HostnameGenerator static")


def test_names_by_generators_of_the_zone_go_before_all_others() -> None:
    services = [a_mesh_external(n, labels={"n": n}) for n in ("a", "b")]
    kind = "meshExternalService"
    globally = a_generator("a", "static.mesh", {"n": "a"}, kind=kind)
    locally = a_generator("b", "static.mesh", {"n": "b"}, kind=kind, labels={ORIGIN: "zone"})
    found = wanted(*services, globally, locally)
    assert found.holders[external("b")].names == ("static.mesh",)
    assert found.holders[external("a")].names == ()


@pytest.mark.parametrize("template", ['{{ label "missing" }}.mesh', ".x.mesh", "X.mesh", "a..mesh"])
def test_what_is_no_host_name_is_an_error_of_the_template(template: str) -> None:
    service = a_mesh_service("backend", {}, spec=SPEC)
    found = wanted(service, a_generator("g", template))
    (made,) = found.generated[BACKEND]
    assert (made.hostname, made.reason) == ("", "TemplateError")
    assert found.holders[BACKEND].names == ()
    assert [fault.kind for fault in found.problems] == [FaultKind.TEMPLATE]


def test_a_name_that_is_left_goes_to_the_next_who_wants_it() -> None:
    static = a_generator("static", "static.mesh", kind="meshExternalService")
    both = wanted(a_mesh_external("a"), a_mesh_external("b"), static)
    after, differing = both.followed(by_type(a_mesh_external("b"), static))
    assert differing == {external("a"), external("b")}
    assert after.holders[external("b")].names == ("static.mesh",)
    assert after.problems == ()


def test_what_no_proxy_sees_of_a_service_changes_nothing() -> None:
    generator = a_generator("g", NAME)
    first = wanted(a_mesh_service("backend", {}, spec=SPEC), generator)
    counted = a_mesh_service("backend", {}, spec={**SPEC, "state": "Available"})
    same, differing = first.followed(by_type(counted, generator))
    assert same is first
    assert differing == frozenset()


def test_a_service_without_a_name_still_says_what_went_wrong() -> None:
    service = a_mesh_service("backend", {}, spec=SPEC)
    first = wanted(service)
    after, differing = first.followed(by_type(service, a_generator("g", "X")))
    assert differing == {BACKEND}
    assert after.holders[BACKEND] == first.holders[BACKEND]
    assert [each.reason for each in after.generated[BACKEND]] == ["TemplateError"]
