"""MeshExternalServices: destinations outside of the mesh, which egresses alone reach."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler import external
from reconciler.context import mesh_context
from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.model.spec import DataplaneSpec, Outbound, RefDestination
from reconciler.policies.mesh_traffic_permission import Permission, Rbac
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.topology import by_outlet
from reconciler.view import ProxyTraits, egress_view, sidecar_view
from tests.support.mesh import a_dataplane, a_mesh, an_egress, an_inbound
from tests.support.outside import Authority
from xds import names
from xds.external import EXACT, PREFIX, ExternalTls
from xds.view import EdsCluster, ExternalCluster, OutboundListener, SniListener

if TYPE_CHECKING:
    from reconciler.view import ViewResult
    from xds.view import EndedChain

CA = Authority()
PAIR = CA.issue("egress")
NAME = "default_pay___extsvc_443"
EGRESS = an_egress()


def inline(pem: bytes) -> dict[str, str]:
    return {"inlineString": pem.decode()}


PAIRED: dict[str, Any] = {"clientCert": inline(PAIR.cert), "clientKey": inline(PAIR.key)}


def pay(
    *endpoints: tuple[str, int, int], tls: dict[str, Any] | None = None, zone: str = ""
) -> MeshResource:
    listed = [
        {"address": address, "port": port, "priority": priority}
        for address, port, priority in endpoints or (("pay.example", 8443, 0),)
    ]
    spec: dict[str, Any] = {
        "match": {"type": "HostnameGenerator", "port": 443, "protocol": "http"},
        "endpoints": listed,
    }
    labels = Labels.of({"kuma.io/zone": zone} if zone else {})
    key = ResourceKey("MeshExternalService", "default", "pay")
    return mesh_resource(key, labels, spec | ({"tls": {"enabled": True, **tls}} if tls else {}))


def front() -> MeshResource:
    made = a_dataplane("front", an_inbound("front"))
    assert isinstance(made.spec, DataplaneSpec)
    to = Outbound("127.0.0.1", 20000, RefDestination("MeshExternalService", "pay", 0))
    return replace(made, spec=replace(made.spec, outbounds=(to,)))


def egress(*resources: MeshResource, system_ca: str = "", **mesh: Any) -> ViewResult:
    state = from_resources([a_mesh(**mesh), EGRESS, *resources])
    meshes = by_outlet(state)
    found = [mesh_context(state, each, "east", frozenset(), {}) for each in meshes]
    traits = ProxyTraits(node_id=".egress", system_ca=system_ca)
    return egress_view(found, EGRESS, "east", traits, certified=meshes)


def chain(result: ViewResult) -> EndedChain:
    (listener,) = result.view.listeners
    assert isinstance(listener, SniListener)
    (found,) = listener.ended
    return found


def cluster(result: ViewResult) -> ExternalCluster:
    (found,) = (c for c in result.view.clusters if isinstance(c, ExternalCluster))
    return found


def tls_of(system_ca: str = "/etc/ca.pem", **verification: Any) -> ExternalTls:
    made = pay(tls={"verification": verification})
    (endpoint,) = cluster(egress(made, system_ca=system_ca)).endpoints
    assert endpoint.tls is not None
    return endpoint.tls


def test_a_proxy_calls_it_by_the_egresses_whether_other_calls_go_there_or_not() -> None:
    for by_egress in (False, True):
        state = from_resources([a_mesh(zone_egress=by_egress), EGRESS, front(), pay()])
        context = mesh_context(state, "default", "east", frozenset(), {})
        result = sidecar_view(context, front(), ProxyTraits(node_id="default.front"))
        (made,) = (c for c in result.view.clusters if c.name == NAME)
        assert isinstance(made, EdsCluster)
        assert made.tls is not None
        assert made.tls.sni == names.hash_sni("pay", 443, "default", "mes")
        assert made.tls.san_uris == ("spiffe://default/zone-egress",)
        (assignment,) = (e for e in result.view.endpoints if e.cluster == NAME)
        assert [(e.address, e.port) for e in assignment.endpoints] == [("10.8.0.1", 10002)]
        (listener,) = (x for x in result.view.listeners if isinstance(x, OutboundListener))
        assert listener.protocol == "http"


def test_it_follows_the_egresses() -> None:
    state = from_resources([a_mesh(), front(), pay()])
    context = mesh_context(state, "default", "east", frozenset(), {})
    assert context.service(NAME).endpoints == ()
    state = apply(state, ResourceDiff((EGRESS,)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    assert [e.address for e in context.service(NAME).endpoints] == ["10.8.0.1"]
    assert context.differing is not None
    assert context.differing.services == {NAME}
    context = mesh_context(state, "default", "east", frozenset({EGRESS.key}), {}, context)
    assert context.service(NAME).endpoints == ()


def test_the_egress_knows_it_by_hash_and_by_kri() -> None:
    result = egress(pay())
    found = chain(result)
    assert found.snis == (
        names.hash_sni("pay", 443, "default", "mes"),
        "sni.extsvc.default.pay.443",
    )
    assert (found.name, found.cluster, found.protocol) == (NAME, NAME, "http")
    assert result.identities == ("default",)
    assert [e.address for e in cluster(result).endpoints] == ["pay.example"]


def test_everybody_may_call_unless_the_mesh_forbids() -> None:
    assert chain(egress(pay())).applied == ()
    (applied,) = chain(egress(pay(), outside_forbidden=True)).applied
    assert isinstance(applied.conf, Rbac)
    assert applied.conf.permission == Permission()


def test_a_mesh_without_mtls_has_no_way_out() -> None:
    assert egress(pay(), mtls=None).identities == ()


def test_what_is_of_another_zone_is_not_reached_from_here() -> None:
    assert egress(pay(zone="west")).view.clusters == ()
    assert len(egress(pay(zone="east")).view.clusters) == 1


def test_priorities_are_levels_without_a_gap() -> None:
    found = cluster(egress(pay(("a", 1, 5), ("b", 1, 0), ("c", 1, 5)))).endpoints
    assert [(e.address, e.priority, e.subzone) for e in found] == [
        ("a", 1, "priority-5"),
        ("b", 0, "priority-0"),
        ("c", 1, "priority-5"),
    ]
    assert len({e.name for e in found}) == 3  # Their TLS is told apart.


def test_of_several_endpoints_who_is_not_reached_is_left_out() -> None:
    assert cluster(egress(pay(("a", 1, 0), ("b", 1, 1)))).detection
    assert not cluster(egress(pay(("a", 1, 0)))).detection


def test_by_default_the_cas_of_the_host_are_asked_and_without_them_nobody_is_called() -> None:
    tls = tls_of()
    assert (tls.ca_file, tls.sni) == ("/etc/ca.pem", "pay.example")
    assert tls.sans == ((EXACT, "pay.example"),)
    assert cluster(egress(pay(tls={"verification": {}}))).endpoints == ()


def test_a_ca_a_name_and_a_client_certificate_are_those_that_are_given() -> None:
    sans = [{"type": "Exact", "value": "a"}, {"type": "Prefix", "value": "b"}]
    tls = tls_of(caCert=inline(CA.cert), serverName="x.example", subjectAltNames=sans, **PAIRED)
    assert tls.sans == ((EXACT, "x.example"), (EXACT, "a"), (PREFIX, "b"))
    assert (tls.sni, tls.ca_file) == ("x.example", "")
    assert tls.ca_secret == f"external_ca:secret:default:{NAME}"
    assert tls.identity_secret == f"external_identity:secret:default:{NAME}"


@pytest.mark.parametrize(
    ("mode", "verifies", "names_", "shows", "sni"),
    [
        ("Secured", True, True, True, "x.example"),
        ("SkipSAN", True, False, True, "pay.example"),
        ("SkipCA", False, False, True, "x.example"),
        ("SkipAll", False, False, False, "pay.example"),
    ],
)
def test_each_mode_leaves_out_what_it_says(
    mode: str, verifies: bool, names_: bool, shows: bool, sni: str
) -> None:
    tls = tls_of(mode=mode, caCert=inline(CA.cert), serverName="x.example", **PAIRED)
    assert bool(tls.ca_secret) is verifies
    assert tls.ca_file == ""
    assert bool(tls.sans) is names_
    assert bool(tls.identity_secret) is shows
    assert tls.sni == sni


def test_versions_are_those_of_envoy() -> None:
    version = {"min": "TLS12", "max": "TLS13"}
    made = pay(tls={"version": version, "allowRenegotiation": True, "verification": {}})
    (endpoint,) = cluster(egress(made, system_ca="/ca")).endpoints
    assert endpoint.tls is not None
    assert (endpoint.tls.least, endpoint.tls.most) == ("TLSv1_2", "TLSv1_3")
    assert endpoint.tls.allow_renegotiation
    either = pay(tls={"version": {"min": "TLSAuto"}, "verification": {}})
    (endpoint,) = cluster(egress(either, system_ca="/ca")).endpoints
    assert endpoint.tls is not None
    assert endpoint.tls.least == ""


def test_a_socket_of_a_host_is_no_endpoint() -> None:
    assert cluster(egress(pay(("unix:///run/x", 1, 0)))).endpoints == ()


def test_a_secret_that_is_missing_is_told() -> None:
    made = pay(tls={"verification": {"caCert": {"secret": "ca"}}})
    state = from_resources([a_mesh(), made])
    found = external.mesh_externals(state, "default", "east")[NAME]
    assert (found.endpoints, found.lacks) == (
        (),
        ('MeshExternalService default/pay: caCert is in secret "ca", which is not here',),
    )
    shown = external.with_placeholders(state)
    assert external.mesh_externals(shown, "default", "east")[NAME].lacks == ()
