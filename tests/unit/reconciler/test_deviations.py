"""Where we differ from Kuma on purpose, or follow it although it errs: what docs/reference/
deviations.md promises and no other test holds.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.policies.mesh_timeout import TimeoutConf, timeouts
from reconciler.rest import writes
from reconciler.rest.answer import Asked, Refused
from reconciler.rest.catalogue import Catalogue
from reconciler.rest.endpoints import ENDPOINTS
from reconciler.state import from_resources
from reconciler.view import ProxyTraits, mesh_context, sidecar_view
from tests.support.mesh import MTLS, a_dataplane, a_mesh, a_policy, an_inbound
from tests.support.rest import BOSS, asked, global_catalogue, zone_catalogue
from xds.build.clusters import build_cluster
from xds.build.listeners import build_listener
from xds.readable import readable
from xds.route import MatchKind, Redirect
from xds.view import EdsCluster, InboundListener, LocalCluster, OutboundListener

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.rest.answer import Answer, Endpoint
    from xds.route import Route
    from xds.view import ProxyView

SERVICE = "kuma.io/service"
WEB = a_dataplane("web", an_inbound("web"), to={10001: {SERVICE: "backend"}})


def sidecar(dataplane: MeshResource, *others: MeshResource) -> ProxyView:
    state = from_resources((a_mesh(mtls=MTLS), dataplane, *others))
    context = mesh_context(state, "default", "east", frozenset(), {})
    return sidecar_view(context, dataplane, ProxyTraits(node_id="default.web")).view


# --- MeshTimeout ---


@pytest.mark.parametrize("protocol", ["http", "http2", "grpc"])
def test_timeouts_reach_the_clusters_of_every_http_protocol(protocol: str) -> None:
    """Inbound and outbound. Kuma leaves gRPC out (D4)."""
    conf = {"idleTimeout": "7s", "http": {"maxStreamDuration": "8s", "maxConnectionDuration": "9s"}}
    item = {"targetRef": {"kind": "Mesh"}, "default": conf}
    policy = a_policy("MeshTimeout", "t", {"from": [item], "to": [item]})
    web = a_dataplane("web", an_inbound("web", protocol=protocol), to={1: {SERVICE: "backend"}})
    backend = a_dataplane("backend", an_inbound("backend", address="10.0.0.2", protocol=protocol))
    clusters = sidecar(web, backend, policy).clusters
    found = [c for c in clusters if isinstance(c, (EdsCluster, LocalCluster))]
    assert len(found) == 2
    for cluster in found:
        built: Any = readable(build_cluster(cluster))
        ((_, options),) = built["typedExtensionProtocolOptions"].items()
        assert options["commonHttpProtocolOptions"] == {
            "idleTimeout": "7s",
            "maxStreamDuration": "8s",
            "maxConnectionDuration": "9s",
        }


def test_an_inbound_is_ready_unless_its_probe_says_otherwise() -> None:
    """An Envoy that ends makes all inbounds not ready, and winds up its connections by itself."""
    for probed, healthy in ((True, True), (True, False), (False, True), (False, False)):
        web = a_dataplane("web", replace(an_inbound("web", healthy=healthy), probed=probed))
        (listener,) = sidecar(web).own.listeners
        assert isinstance(listener, InboundListener)
        assert listener.ready == (healthy or not probed)


def test_a_protocol_is_what_it_is_whatever_its_case() -> None:
    """As Kuma reads it."""
    web = a_dataplane("web", an_inbound("web", protocol="HTTP"))
    (listener,) = sidecar(web).own.listeners
    assert isinstance(listener, InboundListener)
    assert listener.protocol.is_http


@pytest.mark.parametrize("protocol", ["TLS", "mysql", "Kafka", "TCP"])
def test_a_protocol_without_rules_is_carried_as_tcp_whatever_its_case(protocol: str) -> None:
    """Kuma's MeshTimeout passes over `tls` and `mysql`."""
    item = {"targetRef": {"kind": "Mesh"}, "default": {"idleTimeout": "7s"}}
    policy = a_policy("MeshTimeout", "t", {"from": [item], "to": [item]})
    web = a_dataplane("web", an_inbound("web", protocol=protocol), to={1: {SERVICE: "backend"}})
    backend = a_dataplane("backend", an_inbound("backend", address="10.0.0.2", protocol=protocol))
    for listener in sidecar(web, backend, policy).listeners:
        built: Any = readable(build_listener(listener))
        proxy = built["filterChains"][0]["filters"][-1]
        assert proxy["name"] == "envoy.filters.network.tcp_proxy"
        assert proxy["typedConfig"]["idleTimeout"] == "7s"


def test_a_policy_that_sets_one_timeout_sets_the_defaults_of_all() -> None:
    """As in Kuma, where a limit of requests comes with an idle timeout (D15)."""
    found = timeouts(TimeoutConf(idle=timedelta(seconds=7)), http=True)
    assert (found.idle.seconds, found.connection.seconds) == (7, 5)
    assert (found.request.seconds, found.stream_idle.seconds) == (15, 1800)


# --- MeshTrafficPermission ---


def matchers(rules: Mapping[str, Mapping[str, str]], field: str) -> list[Any]:
    """The action and the policy of each matcher of web's inbound, in their order. `rules`: what
    each policy permits and denies; the one named "web" points at the proxy itself.
    """
    policies = []
    for name, lists in rules.items():
        target = {"kind": "Dataplane", "name": "web"} if name == "web" else {"kind": "Mesh"}
        default = {
            kind: [{"spiffeID": {"type": "Exact", "value": f"spiffe://default/{who}"}}]
            for kind, who in lists.items()
        }
        spec = {"targetRef": target, "rules": [{"default": default}]}
        policies.append(a_policy("MeshTrafficPermission", name, spec))
    (listener,) = (x for x in sidecar(WEB, *policies).listeners if isinstance(x, InboundListener))
    found = next(each for each in _deep(readable(build_listener(listener)), field))
    actions = [m["onMatch"]["action"]["typedConfig"] for m in found["matcherList"]["matchers"]]
    return [(a.get("action", "ALLOW"), a["name"].rstrip("_").rpartition("_")[2]) for a in actions]


def _deep(value: Any, field: str) -> Any:
    """Every tree of matchers under this key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == field and "matcherList" in inner:
                yield inner
            else:
                yield from _deep(inner, field)
    elif isinstance(value, list):
        for inner in value:
            yield from _deep(inner, field)


def test_a_deny_beats_the_allow_of_a_more_specific_policy() -> None:
    """As in Kuma, and meant (D12): whoever guards the mesh is overruled by nobody's own proxy."""
    rules = {"web": {"allow": "caller"}, "mesh": {"deny": "caller"}}
    assert matchers(rules, "matcher") == [("DENY", "mesh"), ("ALLOW", "web")]


def test_a_shadow_rule_does_not_count_whom_something_else_allows() -> None:
    rules = {"mesh": {"allowWithShadowDeny": "caller"}, "web": {"allow": "caller"}}
    assert matchers(rules, "shadowMatcher") == [("ALLOW", "web"), ("DENY", "mesh")]


# --- MeshHTTPRoute ---


def routes_of(*rules: tuple[dict[str, Any], dict[str, Any]], **protocols: str) -> tuple[Route, ...]:
    """Of the outbound to `backend`, which like the services of `protocols` has one instance."""
    spec = [{"matches": [match], "default": default} for match, default in rules]
    to = {"targetRef": {"kind": "MeshService", "name": "backend"}, "rules": spec}
    services = [
        a_dataplane(name, an_inbound(name, address=f"10.0.1.{n}", protocol=protocol))
        for n, (name, protocol) in enumerate({"backend": "http", **protocols}.items())
    ]
    view = sidecar(WEB, *services, a_policy("MeshHTTPRoute", "r", {"to": [to]}))
    (listener,) = (x for x in view.listeners if isinstance(x, OutboundListener))
    return listener.routes


def path(kind: str, value: str) -> dict[str, Any]:
    return {"path": {"type": kind, "value": value}}


def backends(**weights: int) -> dict[str, Any]:
    refs = [{"kind": "MeshService", "name": n, "weight": w} for n, w in weights.items()]
    return {"backendRefs": refs}


def test_routes_are_in_order_of_precision_however_they_are_written() -> None:
    """As in Kuma 2.14, not as in 2.1 (D9)."""
    written = [
        ("RegularExpression", "/a.*"),
        ("PathPrefix", "/a"),
        ("PathPrefix", "/a/b"),
        ("Exact", "/a"),
    ]
    found = routes_of(*((path(*each), backends(backend=1)) for each in written))
    paths = [r.match.path for r in found if r.match.path is not None]
    assert [(p.kind, p.value) for p in paths] == [
        (MatchKind.EXACT, "/a"),
        (MatchKind.PREFIX, "/a/b"),
        (MatchKind.PREFIX, "/a"),
        (MatchKind.REGEX, "/a.*"),
        (MatchKind.PREFIX, "/"),
    ]


def test_a_redirect_without_a_status_is_302() -> None:
    """As in Kuma 2.14, not as in 2.1 (D9)."""
    to = {"type": "RequestRedirect", "requestRedirect": {"hostname": "other.example"}}
    first, _ = routes_of((path("PathPrefix", "/a"), {"filters": [to]}))
    (redirect,) = (f for f in first.filters if isinstance(f, Redirect))
    assert redirect.status == 302


def shares(route: Route) -> dict[str, int]:
    return {cluster.name: cluster.weight for cluster in route.clusters}


def test_a_backend_that_nobody_has_declared_keeps_its_share() -> None:
    first, _ = routes_of((path("PathPrefix", "/a"), backends(backend=9, missing=1)))
    assert shares(first) == {"backend": 9, "missing": 1}


def test_a_route_without_a_backend_of_use_leads_to_the_destination_itself() -> None:
    """One that speaks no HTTP, and one that is given nothing."""
    a, b = (path("PathPrefix", each) for each in ("/a", "/b"))
    found = routes_of((a, backends(database=1)), (b, backends(other=0)), database="tcp")
    assert [shares(each) for each in found] == [{"backend": 1}] * 3


# --- HTTP API ---


LABELS = {"team": "shop", "kuma.io/mesh": "default"}
TIMEOUT = a_policy(
    "MeshTimeout", "t-000", {"to": [{"targetRef": {"kind": "Mesh"}, "default": {}}]}, labels=LABELS
)


def shown(path: str, *, query: str = "", **places: str) -> Answer:
    """What the API of a global with 250 MeshTimeouts answers."""
    many = (replace(TIMEOUT, key=replace(TIMEOUT.key, name=f"t-{n:03}")) for n in range(250))
    state = from_resources((a_mesh(), *many))
    catalogue = Catalogue(mode="global", version="0", revision="c1", layers=(state,), now=0.0)
    pairs = tuple(tuple(pair.split("=")) for pair in query.split("&") if pair)
    request = Asked(path=path, route=path, places=places, query=pairs, caller=BOSS)  # type: ignore[arg-type]
    return endpoint(path).answer(catalogue, request)


def endpoint(path: str) -> Endpoint:
    (found,) = (each for each in ENDPOINTS if each.path == path)
    return found


ALL = "/meshes/{mesh}/meshtimeouts"


def test_a_list_without_a_size_is_whole() -> None:
    """`kumactl export` asks for no second page."""
    found = json.loads(shown(ALL, mesh="default").body)
    assert (len(found["items"]), found["total"], found["next"]) == (250, 250, None)


def test_the_kubernetes_form_has_the_labels_that_people_gave() -> None:
    answer = shown(f"{ALL}/{{name}}", query="format=k8s", mesh="default", name="t-000")
    assert json.loads(answer.body)["metadata"]["labels"] == LABELS


def test_every_type_is_told_to_be_read_only() -> None:
    found = json.loads(shown("/_resources").body)["resources"]
    assert {each["name"]: each["readOnly"] for each in found if not each["readOnly"]} == {}
    assert len(found) > 40


def test_an_answer_has_a_tag_of_its_revision_and_content() -> None:
    one, again = (shown(ALL, mesh="default").headers["etag"] for _ in range(2))
    other = shown(ALL, query="size=1", mesh="default").headers["etag"]
    assert one == again != other
    assert one.startswith('W/"c1-')


@pytest.mark.parametrize(
    ("catalogue", "path", "field"),
    [
        (global_catalogue, "/mesh-insights", "dataplanes"),
        (zone_catalogue, "/service-insights", "dataplanes"),
        (global_catalogue, "/zones/_overview", "zone"),
    ],
)
def test_what_kumactl_takes_for_granted_is_there(
    catalogue: Callable[[], Catalogue], path: str, field: str
) -> None:
    """It crashes where one of these is left out (H5)."""
    answer = endpoint(path).answer(catalogue(), asked(path))
    found = json.loads(answer.body)["items"]
    assert found
    assert all(isinstance(each[field], dict) for each in found)


def test_a_service_that_nobody_has_is_not_found() -> None:
    path = "/meshes/{mesh}/service-insights/{name}"
    with pytest.raises(Refused) as refused:
        endpoint(path).answer(global_catalogue(), asked(path, mesh="default", name="nobody"))
    assert refused.value.status == 404


@pytest.mark.parametrize("write", [writes.put, writes.delete])
def test_nothing_is_written_by_http_not_even_by_an_administrator(write: Any) -> None:
    state = from_resources((a_mesh(), TIMEOUT))
    catalogue = Catalogue(mode="global", version="0", revision="c1", layers=(state,), now=0.0)
    document = {"type": "MeshTimeout", "mesh": "default", "name": "t-000", "spec": {}}
    request = asked("/", document, BOSS, mesh="default", name="t-000")
    with pytest.raises(Refused) as refused:
        write(catalogue, "MeshTimeout", request)
    assert refused.value.status == 405
