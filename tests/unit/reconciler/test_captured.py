"""Where the redirection of a captured proxy leads, who is let in, instances called by their own
addresses, and probes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.context import mesh_context
from reconciler.model.resource import SERVICE
from reconciler.model.spec import (
    Inbound,
    ProbeEndpoint,
    Probes,
    TransparentProxying,
)
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, sidecar_view
from tests.support.capture_views import (
    BACKEND,
    BOTH,
    DB,
    WITH_DNS,
    parts,
    places,
    view_of,
    web,
)
from tests.support.mesh import (
    MTLS,
    a_dataplane,
    a_mesh,
    an_external,
    an_inbound,
)
from xds.view import (
    AdminListener,
    DirectCluster,
    DirectListener,
    DnsListener,
    EmptyCluster,
    InboundListener,
    LocalCluster,
    OutboundListener,
    PassthroughCluster,
    PassthroughListener,
    ProbeListener,
    ProbeRoute,
    ProxyView,
)

# --- where redirection leads ---


def test_nothing_of_a_captured_way_is_bound_but_where_redirection_leads() -> None:
    view = view_of(web(), BACKEND)
    assert all(x.captured for x in parts(view, InboundListener))
    found = {x.name: (x.address, x.port, x.cluster) for x in parts(view, PassthroughListener)}
    assert found == {
        f"{way}:passthrough:{family}": (every, port, f"{way}:passthrough:{family}")
        for way, port in (("inbound", 15006), ("outbound", 15001))
        for family, every in (("ipv4", "0.0.0.0"), ("ipv6", "::"))
    }
    sources = {c.name: c.source for c in parts(view, PassthroughCluster)}
    assert sources == {
        "inbound:passthrough:ipv4": "127.0.0.6",
        "inbound:passthrough:ipv6": "::6",
        "outbound:passthrough:ipv4": "",
        "outbound:passthrough:ipv6": "",
    }


def test_only_one_way_captured_leaves_the_other_as_it_is() -> None:
    outbound = view_of(web(TransparentProxying(0, 15001)), BACKEND)
    assert not any(x.captured for x in parts(outbound, InboundListener))
    assert {c.source for c in parts(outbound, LocalCluster)} == {""}
    assert not any(x.inbound for x in parts(outbound, PassthroughListener))
    inbound = view_of(web(TransparentProxying(15006, 0), to={10001: {SERVICE: "backend"}}), BACKEND)
    assert [(x.port, x.captured) for x in parts(inbound, OutboundListener)] == [(10001, False)]
    assert not parts(inbound, DnsListener)
    assert all(x.inbound for x in parts(inbound, PassthroughListener))


@pytest.mark.parametrize(
    ("workload", "source"),
    [("10.0.0.1", "127.0.0.6"), ("fd00::1", "::6"), ("127.0.0.1", ""), ("::1", "")],
)
def test_an_application_is_called_from_an_address_that_the_rules_know(
    workload: str, source: str
) -> None:
    inbound = replace(an_inbound("web"), workload_address=workload)
    (cluster,) = parts(view_of(web(inbounds=(inbound,))), LocalCluster)
    assert cluster.source == source


def test_a_mesh_without_passthrough_lets_nothing_out_that_is_not_its_own() -> None:
    view = view_of(web(), a_mesh(passthrough=False))
    outbound = [x for x in parts(view, PassthroughListener) if not x.inbound]
    empty = {c.name for c in parts(view, EmptyCluster)}
    assert (
        {x.cluster for x in outbound} == empty == {"self_transparentproxy_no_destination_outbound"}
    )


STRICT = replace(WITH_DNS, strict_ports=True)


def lets_in(view: ProxyView) -> set[bool]:
    """Whether inward passthrough leads anywhere."""
    empty = {c.name for c in parts(view, EmptyCluster)}
    return {x.cluster not in empty for x in parts(view, PassthroughListener) if x.inbound}


def test_with_strict_ports_an_applications_own_port_is_no_way_in() -> None:
    """Those of inbounds neither: at the host's other addresses nobody would ask who calls."""
    assert lets_in(view_of(web(), capture=STRICT)) == {False}
    # As Kuma: not without the feature, not without mTLS, not while plain text is let in.
    assert lets_in(view_of(web())) == {True}
    assert lets_in(view_of(web(), a_mesh(mtls=None), capture=STRICT)) == {True}
    permissive = a_mesh(mtls=replace(MTLS, permissive=True))
    assert lets_in(view_of(web(), permissive, capture=STRICT)) == {True}
    assert lets_in(view_of(web(inbounds=()), capture=STRICT)) == {True}


# --- instances by address ---


def test_instances_of_a_service_are_called_by_their_own_addresses() -> None:
    other = a_dataplane("backend-2", an_inbound("backend", address="10.0.0.4", port=9090))
    view = view_of(web(replace(BOTH, direct_access=("backend",))), BACKEND, other, DB)
    found = {x.name: (x.address, x.port) for x in parts(view, DirectListener)}
    assert found == {
        "direct_access_10.0.0.2:8080": ("10.0.0.2", 8080),
        "direct_access_10.0.0.4:9090": ("10.0.0.4", 9090),
    }
    (cluster,) = parts(view, DirectCluster)
    assert cluster.tls is not None
    assert cluster.tls.san_uri_prefixes == ("spiffe://default/",)
    assert not cluster.tls.san_uris


def test_other_services_of_an_instance_are_not_called_so() -> None:
    also = replace(an_inbound("backend", address="10.0.0.4"), port=9090, name="9090")
    both = a_dataplane("b", also, an_inbound("other", address="10.0.0.4"))
    view = view_of(web(replace(BOTH, direct_access=("backend",))), both)
    assert [(x.address, x.port) for x in parts(view, DirectListener)] == [("10.0.0.4", 9090)]


def test_all_services_are_called_so_but_the_proxy_itself() -> None:
    view = view_of(web(replace(BOTH, direct_access=("*",))), BACKEND, DB)
    assert {x.address for x in parts(view, DirectListener)} == {"10.0.0.2", "10.0.0.3"}


def test_a_place_that_an_outbound_has_is_the_outbounds() -> None:
    pay = an_external("pay", "10.0.0.2:8080")
    view = view_of(web(replace(BOTH, direct_access=("*",))), BACKEND, pay)
    assert not parts(view, DirectListener)
    assert places(view)["10.0.0.2:8080"] == "pay"


@pytest.mark.parametrize(
    ("address", "called", "kind"),
    [("10.0.0.2:8080", ("backend",), DirectListener), ("10.0.0.1:9901", (), AdminListener)],
)
def test_a_place_that_an_outbound_comes_to_have_is_the_outbounds_from_then_on(
    address: str, called: tuple[str, ...], kind: type[DirectListener | AdminListener]
) -> None:
    """Where an instance was called until then, or where the proxy's own admin interface was."""
    proxy = web(replace(BOTH, direct_access=called))
    traits = ProxyTraits(node_id="x", capture=WITH_DNS, admin_port=9901)
    state = from_resources((a_mesh(), proxy, BACKEND))
    context = mesh_context(state, "default", "east", frozenset(), {})
    assert parts(sidecar_view(context, proxy, traits).view, kind)
    state = apply(state, ResourceDiff((an_external("pay", address),)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    after = sidecar_view(context, proxy, traits).view
    assert not parts(after, kind)
    assert places(after)[address] == "pay"


# --- probes ---


def test_health_checks_lead_to_the_applications_of_inbounds_and_past_them() -> None:
    endpoints = (
        ProbeEndpoint(8080, "/healthz?deep=1", "/8080/healthz"),
        ProbeEndpoint(9999, "/live", "/9999/live"),
    )
    (probes,) = parts(view_of(web(probes=Probes(9000, endpoints))), ProbeListener)
    assert (probes.address, probes.port, probes.captured) == ("10.0.0.1", 9000, True)
    assert probes.routes == (
        ProbeRoute("/8080/healthz", "/healthz", "localhost:8080"),
        ProbeRoute("/9999/live", "/live", "", 9999),
    )


def test_of_two_health_checks_of_one_path_the_first_is_asked() -> None:
    endpoints = (ProbeEndpoint(8080, "/a", "/x"), ProbeEndpoint(8080, "/b", "/x"))
    (probes,) = parts(view_of(web(probes=Probes(9000, endpoints))), ProbeListener)
    assert [route.to_path for route in probes.routes] == ["/a"]


def test_an_agent_that_answers_probes_itself_needs_no_listener_for_them() -> None:
    proxy = web(probes=Probes(9000, ()))
    capture = replace(WITH_DNS, probe_proxy=True)
    assert not parts(view_of(proxy, capture=capture), ProbeListener)


def test_inbounds_of_who_is_not_captured_are_as_they_were() -> None:
    inbound: Inbound = an_inbound("web")
    view = view_of(a_dataplane("web-1", inbound))
    assert not any(x.captured for x in parts(view, InboundListener))
    assert not parts(view, PassthroughListener)
