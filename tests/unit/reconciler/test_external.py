"""Services outside of the mesh as resources: what proxies are given of them, and what is told."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import external
from reconciler.context import mesh_context
from reconciler.decode import mesh_resource
from reconciler.model.decode import DecodeError
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.outward import NAMES
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, sidecar_view
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    an_egress,
    an_external,
    an_inbound,
    an_ingress,
    offers,
)
from tests.support.outside import Authority
from xds.external import EXACT, ExternalTls
from xds.view import EdsCluster, ExternalCluster, OutboundListener

if TYPE_CHECKING:
    from reconciler.external import External
    from reconciler.state import MeshState
    from reconciler.view import ViewResult

CA = Authority()
PAIR, ANOTHER = CA.issue("front"), CA.issue("front")
SERVICE = "kuma.io/service"


def inline(pem: bytes) -> dict[str, str]:
    return {"inlineString": pem.decode()}


def secret(name: str, value: bytes) -> MeshResource:
    data = {"data": base64.b64encode(value).decode()}
    return mesh_resource(ResourceKey("Secret", "default", name), Labels(), data)


def found(*resources: MeshResource, name: str = "pay") -> External:
    return external.externals(from_resources(resources), "default")[name]


def tls_of(**tls: Any) -> ExternalTls:
    (endpoint,) = found(an_external("pay", tls={"enabled": True, **tls})).endpoints
    assert endpoint.tls is not None
    return endpoint.tls


def view(*resources: MeshResource, of: str = "pay", **mesh: Any) -> ViewResult:
    state = from_resources([a_mesh(**mesh), *resources])
    return viewed(state, of)


def viewed(state: MeshState, of: str = "pay", before: Any = None) -> ViewResult:
    context = mesh_context(state, "default", "east", frozenset(), {}, before)
    dataplane = state.get(ResourceKey("Dataplane", "default", "front"))
    made = dataplane or a_dataplane("front", an_inbound("front"), to={20000: {SERVICE: of}})
    return sidecar_view(context, made, ProxyTraits(node_id="default.front"))


def cluster(result: ViewResult, name: str = "pay") -> EdsCluster | ExternalCluster:
    (made,) = (c for c in result.view.clusters if c.name == name)
    assert isinstance(made, EdsCluster | ExternalCluster)
    return made


# --- resources ---


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("pay.example:443", "pay.example", 443),
        ("192.0.2.1:80", "192.0.2.1", 80),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443),
    ],
)
def test_an_address_is_host_and_port(address: str, host: str, port: int) -> None:
    (endpoint,) = found(an_external("pay", address)).endpoints
    assert (endpoint.address, endpoint.port) == (host, port)


@pytest.mark.parametrize("address", ["pay.example", "pay.example:", ":443", "a:0", "a:65536"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(DecodeError, match="must be host and port"):
        an_external("pay", address)


def test_one_without_an_address_has_no_endpoint() -> None:
    """Kuma takes one without `networking`."""
    key = ResourceKey("ExternalService", "default", "pay")
    made = found(mesh_resource(key, Labels(), {"tags": {SERVICE: "pay"}}))
    assert (made.endpoints, made.protocol) == ((), "tcp")


def test_several_of_one_service_are_its_endpoints() -> None:
    made = found(
        an_external("one", service="pay", protocol="http2"),
        an_external("two", "192.0.2.1:80", service="pay", protocol="grpc", zone="west"),
    )
    assert [(e.address, e.name, e.zone) for e in made.endpoints] == [
        ("pay.example", "one", None),
        ("192.0.2.1", "two", "west"),
    ]
    assert made.protocol == "http2"  # what both speak
    assert [e.name for e in made.within("east").endpoints] == ["one"]
    assert made.within("west") == made


# --- TLS ---


def test_without_tls_it_is_plain_text() -> None:
    for tls in (None, {"enabled": False, "caCert": inline(CA.cert)}):
        (endpoint,) = found(an_external("pay", tls=tls)).endpoints
        assert endpoint.tls is None


def test_a_ca_is_verified_with_the_name_that_is_asked_for() -> None:
    tls = tls_of(caCert=inline(CA.cert))
    assert (tls.sni, tls.sans) == ("pay.example", ((EXACT, "pay.example"),))
    assert tls.ca_secret == "external_ca:secret:default:pay"
    named = tls_of(caCert=inline(CA.cert), serverName="other.example")
    assert (named.sni, named.sans) == ("other.example", ((EXACT, "other.example"),))


def test_an_address_is_no_server_name_and_is_verified() -> None:
    made = an_external("pay", "192.0.2.1:443", tls={"enabled": True, "caCert": inline(CA.cert)})
    (endpoint,) = found(made).endpoints
    assert endpoint.tls is not None
    assert (endpoint.tls.sni, endpoint.tls.sans) == ("", ((EXACT, "192.0.2.1"),))


def test_the_name_is_not_verified_where_it_is_said_so_and_without_a_ca_nothing_is() -> None:
    any_name = tls_of(caCert=inline(CA.cert), skipHostnameVerification=True)
    assert (any_name.sans, any_name.ca_secret != "") == ((), True)
    nobody = tls_of()
    assert nobody == ExternalTls(sni="pay.example")


def test_a_client_certificate_needs_its_key() -> None:
    both = tls_of(clientCert=inline(PAIR.cert), clientKey=inline(PAIR.key), allowRenegotiation=True)
    assert both.identity_secret == "external_identity:secret:default:pay"
    assert both.allow_renegotiation
    assert tls_of(clientCert=inline(PAIR.cert)).identity_secret == ""


def test_secrets_are_those_of_the_mesh_or_stand_in_the_resource() -> None:
    tls = {
        "enabled": True,
        "caCert": {"secret": "ca"},
        "clientCert": {"inline": base64.b64encode(PAIR.cert).decode()},
        "clientKey": inline(PAIR.key),
    }
    made = found(an_external("pay", tls=tls), secret("ca", CA.cert))
    assert [(s.name, s.pem, s.key) for s in made.secrets] == [
        ("external_ca:secret:default:pay", CA.cert, b""),
        ("external_identity:secret:default:pay", PAIR.cert, PAIR.key),
    ]
    assert "PRIVATE" not in repr(made)


OF_ANOTHER = {"clientCert": inline(PAIR.cert), "clientKey": inline(ANOTHER.key)}


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"caCert": {"secret": "ca"}}, 'caCert is in secret "ca", which is not here'),
        ({"caCert": {"file": "/etc/ca.pem"}}, "caCert is nothing that a zone reads"),
        ({"caCert": inline(b"none")}, "caCert: the CA certificate is not a PEM certificate"),
        (OF_ANOTHER, "clientCert: the key does not belong to the certificate"),
        (OF_ANOTHER | {"clientKey": inline(b"x")}, "clientCert: cannot be read"),
    ],
)
def test_what_is_missing_leaves_its_endpoint_out_and_is_told(
    tls: dict[str, object], said: str
) -> None:
    """Neither plain text nor an unverified connection takes its place."""
    made = found(
        an_external("pay", tls={"enabled": True, **tls}),
        an_external("other", "192.0.2.1:80", service="pay"),
    )
    assert [e.name for e in made.endpoints] == ["other"]
    (text,) = made.lacks
    assert text.startswith("ExternalService default/pay: ")
    assert said in text
    assert "PRIVATE" not in text


def test_who_has_no_values_of_secrets_computes_with_their_names() -> None:
    tls = {
        "enabled": True, "caCert": {"secret": "ca"},
        "clientCert": {"secret": "cert"}, "clientKey": {"secret": "key"},
    }  # fmt: skip
    state = external.with_placeholders(from_resources([an_external("pay", tls=tls)]))
    made = external.externals(state, "default")["pay"]
    assert made.lacks == ()
    assert [s.name for s in made.secrets] == [
        "external_ca:secret:default:pay",
        "external_identity:secret:default:pay",
    ]


# --- what a sidecar runs ---


def test_without_egresses_a_proxy_calls_by_itself() -> None:
    tls = {"enabled": True, "caCert": inline(CA.cert)}
    result = view(an_external("pay", tls=tls, protocol="http"))
    made = cluster(result)
    assert isinstance(made, ExternalCluster)
    assert made.protocol == "http"
    assert [e.address for e in made.endpoints] == ["pay.example"]
    assert result.view.endpoints == ()
    assert "external_ca:secret:default:pay" in result.view.secrets
    assert [s.name for s in result.outside] == ["external_ca:secret:default:pay"]
    (listener,) = (x for x in result.view.listeners if isinstance(x, OutboundListener))
    assert listener.protocol == "http"
    assert [r.host_of_endpoint for r in listener.routes] == [True]
    assert "pay" in result.services


def test_a_service_of_the_mesh_keeps_the_host_of_the_caller() -> None:
    (listener,) = (x for x in view(of="front").view.listeners if isinstance(x, OutboundListener))
    assert not any(r.host_of_endpoint for r in listener.routes)


def test_with_egresses_it_is_at_each_of_them_and_they_answer_as_such() -> None:
    egresses = an_egress("a"), an_egress("b", address="10.8.0.2")
    tls = {"enabled": True, "caCert": inline(CA.cert)}
    result = view(an_external("pay", tls=tls, protocol="http"), *egresses, zone_egress=True)
    made = cluster(result)
    assert isinstance(made, EdsCluster)
    assert made.tls is not None
    assert (made.tls.sni, made.tls.san_uris) == (
        "pay{mesh=default}",
        ("spiffe://default/zone-egress",),
    )
    (assignment,) = (e for e in result.view.endpoints if e.cluster == "pay")
    assert [(e.address, e.weight, e.via_egress) for e in assignment.endpoints] == [
        ("10.8.0.1", 1, True),
        ("10.8.0.2", 1, True),
    ]
    assert not [name for name in result.view.secrets if name.startswith("external")]
    (listener,) = (x for x in result.view.listeners if isinstance(x, OutboundListener))
    assert [r.host_of_endpoint for r in listener.routes] == [False]


def test_what_another_zone_alone_reaches_is_there_when_that_zone_offers_it() -> None:
    pay = an_external("pay", zone="west")
    offer = replace(offers("pay", zone="west"), external=True)
    for there, expected in (((), []), ((an_ingress("west", offer),), ["10.8.0.1"])):
        result = view(pay, an_egress(), *there, zone_egress=True)
        (assignment,) = (e for e in result.view.endpoints if e.cluster == "pay")
        assert [e.address for e in assignment.endpoints] == expected
    own = view(an_external("pay", zone="east"), an_egress(), zone_egress=True)
    (assignment,) = (e for e in own.view.endpoints if e.cluster == "pay")
    assert len(assignment.endpoints) == 1


def test_a_service_of_the_mesh_goes_before_one_outside_of_it() -> None:
    here = a_dataplane("pay-1", an_inbound("pay"))
    there = an_ingress("west", offers("pay", zone="west"))
    for inside in (here, there):
        made = cluster(view(an_external("pay"), inside))
        assert isinstance(made, EdsCluster)
        assert made.tls is not None
        assert made.tls.san_uris == ("spiffe://default/pay",)


# --- changes ---


def test_a_secret_that_changes_is_another_secret_and_the_same_cluster() -> None:
    tls = {"enabled": True, "caCert": {"secret": "ca"}}
    front = a_dataplane("front", an_inbound("front"), to={20000: {SERVICE: "pay"}})
    state = from_resources([a_mesh(), front, an_external("pay", tls=tls), secret("ca", CA.cert)])
    context = mesh_context(state, "default", "east", frozenset(), {})
    before = sidecar_view(context, front, ProxyTraits(node_id="default.front"))
    state = apply(state, ResourceDiff((secret("ca", Authority().cert),)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    assert context.differing is not None
    assert context.differing.services == {"pay"}
    after = sidecar_view(context, front, ProxyTraits(node_id="default.front"))
    assert after.view.equals(before.view)
    assert after.view.shared is before.view.shared
    assert [s.name for s in after.outside] == [s.name for s in before.outside]
    assert external.bodies(after.outside) != external.bodies(before.outside)


def test_a_change_elsewhere_changes_nothing_of_it() -> None:
    state = from_resources([a_mesh(), an_external("pay"), an_external("ask", "192.0.2.9:80")])
    context = mesh_context(state, "default", "east", frozenset(), {})
    kept = context.topology.service("pay")
    state = apply(state, ResourceDiff((an_external("ask", "192.0.2.8:80"),)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    assert context.differing is not None
    assert context.differing.services == {"ask", NAMES}  # whose host is its address
    assert context.topology.service("pay") is kept
