"""Which names a mesh has: those of services, of ExternalServices, and of VirtualOutbounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.model.resource import SERVICE, ZONE
from reconciler.model.spec import ExternalServiceSpec
from reconciler.vips.entries import FaultKind, Naming
from reconciler.vips.wanted import nothing
from tests.support.mesh import (
    a_dataplane,
    a_mesh_service,
    an_external,
    an_inbound,
    an_ingress,
    offers,
)
from tests.support.names import (
    a_generator,
    a_virtual_outbound,
    by_type,
    fqdn,
    host,
    leads,
    service,
    wanted,
)
from tests.support.real import SPEC

WEB = {SERVICE: "web"}


def test_each_service_has_a_name_on_port_80() -> None:
    found = wanted(a_dataplane("a", an_inbound("one"), an_inbound("two", port=90)))
    assert list(found.entries) == [service("one"), service("two")]
    assert found.holders[service("one")].names == ("one.mesh",)
    assert leads(found.holders[service("one")]) == {80: {SERVICE: "one"}}
    (port,) = found.holders[service("one")].ports
    assert port.origin == "service"


def test_underscores_are_dots_in_a_second_name() -> None:
    found = wanted(a_dataplane("a", an_inbound("backend_shop_svc_80")))
    (holder,) = found.holders.values()
    assert holder.names == ("backend_shop_svc_80.mesh", "backend.shop.svc.80.mesh")


def test_names_are_as_resolvers_ask_for_them() -> None:
    found = wanted(a_dataplane("a", an_inbound("Backend"), an_inbound("no:name")))
    assert found.holders[service("Backend")].names == ("Backend.mesh", "backend.mesh")
    assert found.holders[service("no:name")].names == ()


def test_of_services_that_differ_in_case_only_each_has_the_name_as_it_writes_it() -> None:
    found = wanted(a_dataplane("a", an_inbound("Web"), an_inbound("web"), an_inbound("wEb")))
    assert found.owners["web.mesh"][0] == service("web")
    assert found.owners["Web.mesh"] == (service("Web"),)
    assert {fault.name for fault in found.problems} == {"web.mesh"}


def test_suffix_and_port_are_settings_and_services_can_be_without_names() -> None:
    naming = Naming(suffix="corp", port=8080)
    found = wanted(a_dataplane("a", an_inbound("web")), naming=naming)
    assert found.holders[service("web")].names == ("web.corp",)
    assert leads(found.holders[service("web")]) == {8080: WEB}
    both = (a_dataplane("a", an_inbound("web")), an_external("pay"))
    assert list(wanted(*both, naming=Naming(services=False)).entries) == [host("pay.example")]


def test_inbounds_that_nobody_calls_make_no_names() -> None:
    ignored = replace(an_inbound("one", healthy=False), ignored=True)
    reserved = an_inbound("two", port=49151)
    untagged = replace(an_inbound("three"), tags=())
    vob = a_virtual_outbound("v", "{{.srv}}.mesh")
    assert list(wanted(a_dataplane("a", ignored, reserved, untagged), vob).entries) == []


def test_a_name_stays_while_its_instances_are_ill() -> None:
    found = wanted(a_dataplane("a", an_inbound("one", healthy=False)))
    assert list(found.entries) == [service("one")]


def test_dataplanes_of_other_zones_are_named_by_their_ingresses_alone() -> None:
    theirs = a_dataplane("a", an_inbound("one"), labels={ZONE: "west"})
    assert list(wanted(theirs).entries) == []
    elsewhere = an_ingress("west", offers("srv1"), offers("srv2"), offers("x", mesh="other"))
    assert list(wanted(elsewhere).entries) == [service("srv1"), service("srv2")]


def test_the_own_ingress_names_nothing() -> None:
    ours, new = an_ingress("east", offers("srv1")), an_ingress("", offers("srv2"), name="new")
    assert list(wanted(ours, new).entries) == []


# --- ExternalService ---


def test_external_service_has_its_host_and_its_own_port_beside_80() -> None:
    found = wanted(an_external("pay", "pay.example:8080"))
    assert list(found.entries) == [service("pay"), host("pay.example")]
    both = {80: {SERVICE: "pay"}, 8080: {SERVICE: "pay"}}
    assert leads(found.holders[service("pay")]) == both
    assert leads(found.holders[host("pay.example")]) == both
    assert found.holders[host("pay.example")].names == ("pay.example",)
    assert {p.origin for p in found.holders[host("pay.example")].ports} == {"external-service:pay"}


def test_a_host_that_is_no_name_is_at_its_own_port_alone() -> None:
    found = wanted(an_external("pay", "no~name:443"), an_external("dot", "x.example.:80"))
    assert found.holders[host("no~name")].names == ()
    assert leads(found.holders[host("no~name")]) == {443: {SERVICE: "pay"}}
    assert found.holders[host("x.example.")].names == ("x.example",)


def test_external_service_leads_to_its_service_whatever_other_tags_it_has() -> None:
    found = wanted(an_external("pay", "pay.example:80", zone="east"))
    assert leads(found.holders[host("pay.example")]) == {80: {SERVICE: "pay"}}


def test_disable_host_dns_entry_leaves_the_service_alone() -> None:
    es = an_external("pay")
    assert isinstance(es.spec, ExternalServiceSpec)
    found = wanted(replace(es, spec=replace(es.spec, named=False)))
    assert list(found.entries) == [service("pay")]


def test_external_service_at_an_ip_is_reached_there_and_needs_no_address() -> None:
    found = wanted(an_external("pay", "[2001:DB8::1]:443"))
    holder = found.holders[host("2001:DB8::1")]
    assert (holder.address, holder.names) == ("2001:db8::1", ())
    assert leads(holder) == {443: {SERVICE: "pay"}}
    assert list(found.entries) == [service("pay")]


def test_two_external_services_of_one_host_have_each_its_port() -> None:
    found = wanted(an_external("a", "x.example:8080"), an_external("b", "x.example:8081"))
    assert leads(found.holders[host("x.example")]) == {
        80: {SERVICE: "a"},
        8080: {SERVICE: "a"},
        8081: {SERVICE: "b"},
    }
    assert found.problems == ()


def test_of_two_external_services_at_one_place_the_first_by_name_has_it_and_it_is_told() -> None:
    found = wanted(an_external("b", "x.example:80"), an_external("a", "x.example:80"))
    assert leads(found.holders[host("x.example")]) == {80: {SERVICE: "a"}}
    (fault,) = found.problems
    assert (fault.kind, fault.name, fault.port) == (FaultKind.PORT, "x.example", 80)
    assert fault.resources == ("ExternalService b", "ExternalService a")


def test_a_service_of_the_mesh_is_on_80_alone_though_one_outside_has_its_name() -> None:
    found = wanted(an_external("pay", "x.example:443"), a_dataplane("a", an_inbound("pay")))
    assert leads(found.holders[service("pay")]) == {80: {SERVICE: "pay"}}


def test_of_several_ports_of_one_external_service_the_lowest_is_its_own() -> None:
    several = (
        an_external("a", "x.example:9000", service="pay"),
        an_external("b", "y.example:8000", service="pay"),
    )
    found = wanted(*several)
    assert sorted(leads(found.holders[service("pay")])) == [80, 8000]


def test_what_another_zone_offers_of_outside_does_not_hide_its_own_port() -> None:
    """Kuma listens on 80 alone then."""
    theirs = replace(offers("pay", zone="west"), external=True)
    found = wanted(an_external("pay", "x.example:443", zone="west"), an_ingress("west", theirs))
    assert sorted(leads(found.holders[service("pay")])) == [80, 443]


# --- VirtualOutbound ---


def test_virtual_outbound_names_each_set_of_tags() -> None:
    vob = a_virtual_outbound(
        "vob-1",
        "{{.srv}}.{{.instance}}.mesh",
        "{{if .port}}{{.port}}{{else}}8080{{end}}",
        {SERVICE: "*", "instance": "*"},
    )
    a = a_dataplane("a", an_inbound("s1", tags={"instance": "a", "port": "9000", "version": "2"}))
    b = a_dataplane("b", an_inbound("s1", tags={"instance": "b"}))
    found = wanted(vob, a, b, a_dataplane("c", an_inbound("s2")))
    names = [fqdn("s1.a.mesh"), fqdn("s1.b.mesh")]
    assert list(found.entries) == [service("s1"), service("s2"), *names]
    assert leads(found.holders[names[0]]) == {
        9000: {SERVICE: "s1", "instance": "a", "port": "9000"}
    }
    assert leads(found.holders[names[1]]) == {8080: {SERVICE: "s1", "instance": "b"}}
    assert {p.origin for p in found.holders[names[0]].ports} == {"virtual-outbound:vob-1"}


def test_one_host_has_the_ports_of_all_its_instances() -> None:
    port = "{{if .port}}{{.port}}{{else}}8080{{end}}"
    vob = a_virtual_outbound("v", "{{.srv}}.internal", port)
    found = wanted(
        vob,
        a_dataplane("a", an_inbound("s1", tags={"port": "9000"})),
        a_dataplane("b", an_inbound("s1", tags={"port": "8000"})),
    )
    assert leads(found.holders[fqdn("s1.internal")]) == {
        8000: {SERVICE: "s1", "port": "8000"},
        9000: {SERVICE: "s1", "port": "9000"},
    }


@pytest.mark.parametrize(
    ("other", "first"),
    [
        ({SERVICE: "*", "instance": "*"}, "other"),  # more tags
        ({SERVICE: "s1"}, "other"),  # the same number, one of them exact
        ({SERVICE: "*"}, "base"),  # neither: by name
    ],
)
def test_the_most_exact_selector_has_the_port(other: dict[str, str], first: str) -> None:
    """Of several in one VirtualOutbound, too."""
    instance = a_dataplane("a", an_inbound("s1", tags={"instance": "1"}))
    wide = ({"name": "srv", "tagKey": SERVICE},)
    base = a_virtual_outbound("base", "{{.srv}}.x", parameters=wide)
    exact = a_virtual_outbound("other", "{{.srv}}.x", "80", {SERVICE: "*"}, other, {SERVICE: "*"})
    (port,) = wanted(instance, base, exact).holders[fqdn("s1.x")].ports
    assert port.origin == f"virtual-outbound:{first}"


def test_two_that_want_one_port_for_different_instances_are_told() -> None:
    vob = a_virtual_outbound("v", "{{.srv}}.x", "80", {SERVICE: "s1"})
    found = wanted(
        vob,
        a_dataplane("b", an_inbound("s1", tags={"instance": "b"})),
        a_dataplane("a", an_inbound("s1", tags={"instance": "a"})),
    )
    assert leads(found.holders[fqdn("s1.x")]) == {80: {SERVICE: "s1", "instance": "a"}}
    (fault,) = found.problems
    assert (fault.kind, fault.name, fault.port) == (FaultKind.PORT, "s1.x", 80)


def test_instances_of_the_zone_go_before_those_of_others_and_those_before_what_is_outside() -> None:
    vob = a_virtual_outbound("v", "one.x", "80")
    theirs = an_ingress("west", offers("a"))
    outside = an_external("b")
    ours = a_dataplane("d", an_inbound("c"))
    assert leads(wanted(vob, theirs, outside, ours).holders[fqdn("one.x")]) == {80: {SERVICE: "c"}}
    assert leads(wanted(vob, theirs, outside).holders[fqdn("one.x")]) == {80: {SERVICE: "a"}}
    assert leads(wanted(vob, outside).holders[fqdn("one.x")]) == {80: {SERVICE: "b"}}


def test_services_of_other_meshes_behind_an_ingress_get_no_names_here() -> None:
    """Kuma gives them names that lead nowhere."""
    vob = a_virtual_outbound("v", "{{.srv}}.x")
    assert list(wanted(vob, an_ingress("west", offers("s", mesh="other"))).entries) == []


@pytest.mark.parametrize(
    ("name", "port"), [("{{.instance}}.x", "80"), ("a_b.x", "{{.srv}}"), ("x", "0"), ("x", "65536")]
)
def test_a_template_that_makes_no_name_is_told_and_does_no_harm(name: str, port: str) -> None:
    found = wanted(a_virtual_outbound("v", name, port), a_dataplane("a", an_inbound("s1")))
    assert list(found.entries) == [service("s1")]
    (fault,) = found.problems
    assert (fault.kind, fault.resources) == (FaultKind.TEMPLATE, ("VirtualOutbound v",))


def test_a_port_may_have_a_sign_as_in_go() -> None:
    found = wanted(a_virtual_outbound("v", "one.x", "+0080"), a_dataplane("a", an_inbound("s1")))
    assert sorted(leads(found.holders[fqdn("one.x")])) == [80]


def test_an_inbound_of_no_service_is_named_by_no_other_tag() -> None:
    vob = a_virtual_outbound("v", "{{.instance}}.x", "80", {"instance": "*"})
    inbound = replace(an_inbound("s1"), tags=(("instance", "a"),))
    assert list(wanted(vob, a_dataplane("a", inbound)).entries) == []


def test_a_selector_of_nothing_selects_nothing() -> None:
    vob = a_virtual_outbound("v", "{{.srv}}.x", "80", {})
    assert list(wanted(vob, a_dataplane("a", an_inbound("s1"))).entries) == [service("s1")]


# --- who has a name ---


def test_a_virtual_outbound_has_the_name_of_a_service_and_what_is_lost_is_told() -> None:
    instance = a_dataplane("a", an_inbound("s1"))
    narrow = ({"name": "srv", "tagKey": SERVICE},)
    same = wanted(instance, a_virtual_outbound("v", "{{.srv}}.mesh", "80", parameters=narrow))
    assert same.owners["s1.mesh"] == (fqdn("s1.mesh"), service("s1"))
    assert same.problems == ()  # it leads where the name led
    more = a_virtual_outbound("w", "{{.srv}}.mesh", "81", parameters=narrow)
    vob = a_virtual_outbound("v", "{{.srv}}.mesh", "80", parameters=narrow)
    assert wanted(instance, vob, more).problems == ()  # and to one port more
    other = wanted(instance, a_virtual_outbound("v", "{{.srv}}.mesh", "81", parameters=narrow))
    (fault,) = other.problems
    assert (fault.kind, fault.name) == (FaultKind.NAME, "s1.mesh")
    assert fault.resources == ("service s1", "VirtualOutbound host s1.mesh")


def test_a_services_own_name_goes_before_one_with_dots_for_underscores() -> None:
    found = wanted(a_dataplane("a", an_inbound("a.b"), an_inbound("a_b", port=81)))
    assert found.owners["a.b.mesh"] == (service("a.b"), service("a_b"))
    assert [fault.name for fault in found.problems] == ["a.b.mesh"]
    found = wanted(a_dataplane("a", an_inbound("a.b"), an_inbound("A_b", port=81)))
    assert found.owners["a.b.mesh"] == (service("a.b"), service("A_b"))


# --- following ---


def test_an_instance_that_comes_with_tags_that_are_there_changes_nothing() -> None:
    first = wanted(a_dataplane("a", an_inbound("s1")))
    same, differing = first.followed(
        by_type(a_dataplane("a", an_inbound("s1")), a_dataplane("b", an_inbound("s1")))
    )
    assert same is first
    assert differing == frozenset()
    left, differing = same.followed(by_type(a_dataplane("b", an_inbound("s1"))))
    assert left is first
    gone, differing = left.followed({})
    assert list(gone.entries) == []
    assert differing == {service("s1")}


def test_a_name_that_ends_gives_the_port_to_the_next() -> None:
    vob = a_virtual_outbound("v", "one.x")
    a, b = a_dataplane("a", an_inbound("s1")), a_dataplane("b", an_inbound("s2"))
    both = wanted(vob, a, b)
    after, differing = both.followed(by_type(vob, b))
    assert leads(after.holders[fqdn("one.x")]) == {80: {SERVICE: "s2"}}
    assert differing == {service("s1"), fqdn("one.x")}
    assert after.problems == ()


def test_nothing_is_wanted_of_nothing() -> None:
    first = nothing("default", "east")
    assert first.followed({}) == (first, frozenset())


def test_real_services_have_their_ports_and_lead_to_themselves() -> None:
    generator = a_generator("g", "{{ .DisplayName }}.svc.mesh.local")
    found = wanted(a_mesh_service("backend", {ZONE: "east"}, spec=SPEC), generator)
    (holder,) = found.holders.values()
    assert leads(holder) == {8080: {SERVICE: "default_backend__east_msvc_8080"}}
    assert holder.names == ("backend.svc.mesh.local",)
    assert [port.origin for port in holder.ports] == ["MeshService:backend"]
