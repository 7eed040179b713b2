"""What a captured proxy can reach and by which names, and who answers them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.captured import dynamic_config
from reconciler.context import mesh_context
from reconciler.decode import mesh_resource
from reconciler.mesh_names import Given
from reconciler.model.resource import NAMESPACE, SERVICE, ZONE, Labels, MeshResource, ResourceKey
from reconciler.model.spec import (
    ReachableBackend,
)
from reconciler.node_capture import CaptureTraits
from reconciler.offline import proxies_of, rendered
from reconciler.outward import EVERY, NAMES
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, sidecar_ahead, sidecar_view
from reconciler.vips.allocation import Pools
from tests.support.capture_views import (
    BACKEND,
    BOTH,
    DB,
    WITH_DNS,
    context_of,
    names,
    parts,
    places,
    view_of,
    web,
)
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    a_mesh_service,
    a_policy,
    an_external,
    an_inbound,
    an_ingress,
    offers,
)
from tests.support.zone import dataplane
from xds.view import (
    DnsListener,
    DynamicConfigListener,
    InboundListener,
    OutboundListener,
    PassthroughListener,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


# --- outbounds and names ---


def test_a_captured_proxy_reaches_every_service_at_an_address_of_its_own() -> None:
    """The first is that of Kuma's first; sorted by name, as Kuma's are."""
    view = view_of(web(), BACKEND, DB)
    assert places(view) == {
        "240.0.0.0:80": "backend",
        "240.0.0.1:80": "db_shop_svc_80",
        "240.0.0.2:80": "web",
    }
    assert names(view) == {
        "backend.mesh": ("240.0.0.0", "::ffff:f000:0"),
        "db.shop.svc.80.mesh": ("240.0.0.1", "::ffff:f000:1"),
        "db_shop_svc_80.mesh": ("240.0.0.1", "::ffff:f000:1"),
        "web.mesh": ("240.0.0.2", "::ffff:f000:2"),
    }


def test_outbounds_that_it_names_itself_are_not_what_it_has_then() -> None:
    proxy = web(to={10001: {SERVICE: "backend"}})
    assert "127.0.0.1:10001" not in places(view_of(proxy, BACKEND))


def test_services_of_other_zones_and_outside_of_the_mesh_have_names_too() -> None:
    west = an_ingress("west", offers("far", zone="west"))
    view = view_of(web(), west, an_external("pay"))
    assert {"far.mesh", "pay.mesh", "pay.example"} <= names(view).keys()
    external = names(view)["pay.example"][0]
    assert {place: to for place, to in places(view).items() if place.startswith(external)} == {
        f"{external}:443": "pay",
        f"{external}:80": "pay",
    }


def test_real_services_have_addresses_of_their_own_pool() -> None:
    spec = {
        "selector": {"dataplaneTags": {SERVICE: "backend"}},
        "ports": [
            {"port": 80, "targetPort": 8080, "appProtocol": "http"},
            {"port": 5432, "targetPort": 8080, "appProtocol": "tcp"},
        ],
    }
    generator = mesh_resource(
        ResourceKey("HostnameGenerator", "", "all"),
        Labels(),
        {
            "selector": {"meshService": {"matchLabels": {ZONE: "east"}}},
            "template": "{{ .DisplayName }}.svc.mesh.local",
        },
    )
    service = a_mesh_service("backend", {ZONE: "east"}, spec=spec)
    mesh = a_mesh(mesh_services_mode="Exclusive")
    view = view_of(web(), BACKEND, mesh, service, generator)
    assert names(view) == {"backend.svc.mesh.local": ("241.0.0.0", "::ffff:f100:0")}
    found = {(x.address, x.port): x.protocol for x in parts(view, OutboundListener)}
    assert found == {("241.0.0.0", 80): "http", ("241.0.0.0", 5432): "tcp"}


@pytest.mark.parametrize(
    ("more", "reached"),
    [
        ({"reachable_services": ("backend",)}, {"backend"}),
        ({"reachable_services": ("nobody",)}, set()),
        ({"reachable_services": ()}, {"backend", "db_shop_svc_80", "web"}),
        ({"reachable_backends": ()}, {"backend", "db_shop_svc_80", "web"}),
    ],
)
def test_only_what_is_reachable_is_told_and_only_its_names(
    more: Mapping[str, Any], reached: set[str]
) -> None:
    view = view_of(web(replace(BOTH, **more)), BACKEND, DB)
    assert set(places(view).values()) == reached
    known = {address.rpartition(":")[0] for address in places(view)}
    assert {ips[0] for ips in names(view).values()} == known


def test_backends_that_are_reachable_are_told_and_no_other_real_service() -> None:
    spec = {"selector": {"dataplaneTags": {SERVICE: "backend"}}, "ports": [{"port": 80}]}
    services = [a_mesh_service(name, {ZONE: "east"}, spec=spec) for name in ("backend", "other")]
    chosen = replace(BOTH, reachable_backends=(ReachableBackend("MeshService", "other"),))
    mesh = a_mesh(mesh_services_mode="Exclusive")
    found = parts(view_of(web(chosen), BACKEND, mesh, *services), OutboundListener)
    assert [x.address for x in found] == ["241.0.0.1"]


def test_a_backend_that_gets_the_labels_which_are_reachable_is_news_to_who_says_so() -> None:
    """It has the name and the address that it had."""
    spec = {"selector": {"dataplaneTags": {SERVICE: "backend"}}, "ports": [{"port": 80}]}
    service = a_mesh_service("backend", {ZONE: "east"}, spec=spec)
    labelled = a_mesh_service("backend", {ZONE: "east", "team": "x"}, spec=spec)
    reached = ReachableBackend("MeshService", labels=(("team", "x"),))
    proxy = web(replace(BOTH, reachable_backends=(reached,)))
    traits = ProxyTraits(node_id="x", capture=WITH_DNS)
    mesh = a_mesh(mesh_services_mode="Exclusive")
    state = from_resources((mesh, proxy, BACKEND, service))
    first = mesh_context(state, "default", "east", frozenset(), {})
    before = sidecar_view(first, proxy, traits)
    state = apply(state, ResourceDiff((labelled,)))
    second = mesh_context(state, "default", "east", frozenset(), {}, first)
    assert places(before.view) == {}
    assert places(sidecar_view(second, proxy, traits).view).keys() == {"241.0.0.0:80"}
    assert second.differing is None or second.differing.concerns(before.services)


def test_an_address_that_is_the_proxys_own_inbound_stays_the_inbounds() -> None:
    own = an_inbound("web", address="192.0.2.1", port=443)
    view = view_of(web(inbounds=(own,)), an_external("pay", "192.0.2.1:443"))
    assert "192.0.2.1:443" not in places(view)
    assert [x.port for x in parts(view, InboundListener)] == [443]
    assert "192.0.2.1:443" in places(view_of(web(), an_external("pay", "192.0.2.1:443")))


def test_a_new_service_is_there_with_a_new_name_and_takes_nobodys_address() -> None:
    state = from_resources((a_mesh(), web(), DB))
    first = mesh_context(state, "default", "east", frozenset(), {})
    state = apply(state, ResourceDiff((BACKEND,)))
    after = mesh_context(state, "default", "east", frozenset(), {}, first)
    view = sidecar_view(after, web(), ProxyTraits(node_id="x", capture=WITH_DNS)).view
    assert places(view) == {
        "240.0.0.0:80": "db_shop_svc_80",
        "240.0.0.1:80": "web",
        "240.0.0.2:80": "backend",
    }
    assert after.differing is not None
    assert after.differing.concerns(sidecar_view(first, web(), ProxyTraits(node_id="x")).services)


def test_what_stays_the_same_is_the_same_object_when_a_service_comes() -> None:
    proxy, traits = web(), ProxyTraits(node_id="x", capture=WITH_DNS)
    state = from_resources((a_mesh(), proxy, BACKEND))
    first = mesh_context(state, "default", "east", frozenset(), {})
    before = sidecar_view(first, proxy, traits).view
    state = apply(state, ResourceDiff((DB,)))
    second = mesh_context(state, "default", "east", frozenset(), {}, first)
    after = sidecar_view(second, proxy, traits).view
    assert after.own is before.own
    kept = {id(x) for x in (*before.shared.clusters, *before.shared.endpoints)}
    assert kept <= {id(x) for x in (*after.shared.clusters, *after.shared.endpoints)}
    same = {id(x) for x in before.shared.listeners if not isinstance(x, DnsListener)}
    assert same <= {id(x) for x in after.shared.listeners}


def test_addresses_that_a_zone_has_given_are_those_of_its_names() -> None:
    known = context_of(web(), DB).names.allocations
    state = from_resources((a_mesh(), web(), DB, BACKEND))
    again = mesh_context(
        state, "default", "east", frozenset(), {}, given=Given(known, Pools(), 0.0)
    )
    held = again.names.allocations.of("default")
    assert {entry.name: address for entry, address in held.items()} == {
        "db_shop_svc_80": "240.0.0.0",
        "web": "240.0.0.1",
        "backend": "240.0.0.2",
    }


def test_proxies_that_reach_the_same_share_all_of_it() -> None:
    """Whatever service they are, and whatever their ports."""
    proxies = [
        a_dataplane(
            f"p{n}", an_inbound(f"s{n}", address=f"10.1.0.{n}", port=8000 + n), transparent=BOTH
        )
        for n in range(1, 4)
    ]
    context = context_of(*proxies, BACKEND)
    traits = ProxyTraits(node_id="x", capture=WITH_DNS)
    first, *rest = (sidecar_view(context, proxy, traits).view for proxy in proxies)
    assert all(view.shared is first.shared for view in rest)


def test_who_reaches_everything_is_not_listed_under_each_of_it() -> None:
    """A thousand proxies under a thousand services would be a million entries."""
    context = context_of(web(), *many(20))
    view = sidecar_view(context, web(), ProxyTraits(node_id="x"))
    assert view.services == (EVERY, NAMES)


def test_a_policy_for_a_section_tells_proxies_with_that_port_apart() -> None:
    """And only while there is one."""
    proxies = [
        a_dataplane(
            f"p{n}", an_inbound(f"s{n}", address=f"10.1.0.{n}", port=8000 + n), transparent=BOTH
        )
        for n in (1, 2)
    ]
    everything = {"kind": "Mesh"}
    to = [{"targetRef": everything, "default": {"connectionTimeout": "7s"}}]
    spec = {"targetRef": {"kind": "Dataplane", "sectionName": "8001"}, "to": to}
    policy = a_policy("MeshTimeout", "t", spec)
    state = from_resources((a_mesh(), *proxies, policy))
    context = mesh_context(state, "default", "east", frozenset(), {})
    one, other = (sidecar_view(context, p, ProxyTraits(node_id="x")).view for p in proxies)
    assert one.shared != other.shared
    state = apply(state, ResourceDiff((), (policy.key,)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    one, other = (sidecar_view(context, p, ProxyTraits(node_id="x")).view for p in proxies)
    assert one.shared is other.shared


# --- who answers ---


def test_envoy_answers_where_its_agent_asks_it() -> None:
    (dns,) = parts(view_of(web(), capture=CaptureTraits(dns_port=15054)), DnsListener)
    assert (dns.address, dns.port) == ("127.0.0.1", 15054)


def test_without_a_port_for_names_nobody_answers() -> None:
    assert not parts(view_of(web(), capture=CaptureTraits()), DnsListener)


def test_a_proxy_of_one_family_listens_on_no_other() -> None:
    """Names have addresses of both all the same: Envoy would deny those that lack one."""
    view = view_of(web(replace(BOTH, ipv6=False)))
    assert names(view) == {"web.mesh": ("240.0.0.0", "::ffff:f000:0")}
    embedded = CaptureTraits(dns_port=15054, embedded_dns=True, workdir="/run/dp")
    view = view_of(web(replace(BOTH, ipv6=False)), capture=embedded)
    (config,) = parts(view, DynamicConfigListener)
    (record,) = json.loads(config.documents[0][1])["records"]
    assert record["ips"] == ["240.0.0.0"]
    view = view_of(web(replace(BOTH, ipv6=False)))
    assert {x.address for x in parts(view, PassthroughListener)} == {"0.0.0.0"}


def test_an_agent_with_its_own_dns_is_told_names_as_a_document() -> None:
    """facts/dataplane-wire.md 10.3, byte by byte."""
    capture = CaptureTraits(dns_port=15054, embedded_dns=True, workdir="/run/dp")
    proxy = web(labels={ZONE: "east"})
    view = view_of(proxy, BACKEND, capture=capture)
    assert not parts(view, DnsListener)
    (config,) = parts(view, DynamicConfigListener)
    assert config.path == "/run/dp/kuma-mesh-metric-config.sock"
    assert config.documents == (
        (
            "/dns",
            '{"records":[{"name":"backend.mesh","ips":["240.0.0.0","::ffff:f000:0"]},'
            '{"name":"web.mesh","ips":["240.0.0.1","::ffff:f000:1"]}],"ttl":30,'
            '"extraLabels":{"kuma_io_zone":"east","mesh":"default"}}',
        ),
    )


def test_the_document_says_whose_it_is_and_follows_the_names() -> None:
    capture = CaptureTraits(dns_port=15054, embedded_dns=True, workdir="/run/dp")
    proxy = web(labels={"kuma.io/workload": "w", NAMESPACE: "shop"})
    traits = ProxyTraits(node_id="x", capture=capture)
    state = from_resources((a_mesh(), proxy))
    first = mesh_context(state, "default", "east", frozenset(), {})
    sidecar_view(first, proxy, traits)
    state = apply(state, ResourceDiff((BACKEND,)))
    second = mesh_context(state, "default", "east", frozenset(), {}, first)
    (config,) = parts(sidecar_view(second, proxy, traits).view, DynamicConfigListener)
    document = json.loads(config.documents[0][1])
    assert [record["name"] for record in document["records"]] == ["backend.mesh", "web.mesh"]
    assert document["extraLabels"] == {
        "kuma_workload": "w",
        "k8s_kuma_io_namespace": "shop",
        "mesh": "default",
    }


def test_a_long_working_directory_leaves_a_socket_that_can_be_bound() -> None:
    path = dynamic_config("/" + "d" * 200, "{}").path
    assert len(path) == 98 + len(".sock")


# --- from files alone ---


def test_names_are_rendered_for_a_proxy_of_which_only_its_file_is_known() -> None:
    ports = {"redirectPortInbound": 15006, "redirectPortOutbound": 15001}
    document = dataplane("web-1", "web")
    document["networking"]["transparentProxying"] = ports
    proxies = proxies_of({"web": document}, "east")
    found = rendered((a_mesh(),), proxies, (), proxies[0].key, "east").snapshot
    assert {"kuma:dns", "outbound:240.0.0.0:80"} <= found.listeners.keys()


# --- a few at a time ---


def many(count: int) -> list[MeshResource]:
    return [
        a_dataplane(f"s{n:04}", an_inbound(f"s{n:04}", address=f"10.2.{n // 250}.{n % 250}"))
        for n in range(count)
    ]


def test_what_is_shared_is_found_a_few_outbounds_at_a_time() -> None:
    proxy, traits = web(), ProxyTraits(node_id="x", capture=WITH_DNS)
    context = context_of(proxy, *many(40))
    steps = 0
    while sidecar_ahead(context, proxy, traits, 16) is None:
        steps += 1
    assert steps == 2  # 41 outbounds
    ahead = sidecar_ahead(context, proxy, traits, 0)
    assert sidecar_view(context, proxy, traits).view.shared is ahead
    plain = sidecar_view(context_of(proxy, *many(40)), proxy, traits).view
    assert sidecar_view(context, proxy, traits).view == plain


def test_names_that_come_one_after_the_other_hold_up_nobody() -> None:
    """What was found for the context before is not lost with it."""
    proxy, traits = web(), ProxyTraits(node_id="x", capture=WITH_DNS)
    first, later = many(200)[:160], many(200)[160:]
    state = from_resources((a_mesh(), proxy, *first))
    context = mesh_context(state, "default", "east", frozenset(), {})
    for served, each in enumerate(later):
        if sidecar_ahead(context, proxy, traits, 16) is not None:
            assert served <= 12
            break
        state = apply(state, ResourceDiff((each,)))
        context = mesh_context(state, "default", "east", frozenset(), {}, context)
    else:
        pytest.fail("nobody is served")
    plain = mesh_context(
        state,
        "default",
        "east",
        frozenset(),
        {},
        given=Given(context.names.allocations, Pools(), 0.0),
    )
    expected = sidecar_view(plain, proxy, traits).view
    assert sidecar_view(context, proxy, traits).view == expected


def test_a_new_name_of_what_has_its_address_already_is_told() -> None:
    spec = {"selector": {"dataplaneTags": {SERVICE: "backend"}}, "ports": [{"port": 80}]}
    service = a_mesh_service("backend", {ZONE: "east"}, spec=spec)

    def generator(template: str) -> MeshResource:
        key = ResourceKey("HostnameGenerator", "", "all")
        selector = {"meshService": {"matchLabels": {ZONE: "east"}}}
        return mesh_resource(key, Labels(), {"selector": selector, "template": template})

    proxy, traits = web(), ProxyTraits(node_id="x", capture=WITH_DNS)
    state = from_resources((a_mesh(), proxy, BACKEND, service, generator("a.real")))
    context = mesh_context(state, "default", "east", frozenset(), {})
    before = names(sidecar_view(context, proxy, traits).view)
    state = apply(state, ResourceDiff((generator("b.real"),)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    after = names(sidecar_view(context, proxy, traits).view)
    assert after == {"b.real" if name == "a.real" else name: ips for name, ips in before.items()}
