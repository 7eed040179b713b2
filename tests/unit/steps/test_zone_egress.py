"""A ZoneEgress is admitted, kept and told of, and calls go through it as long as it is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.decode import mesh_resource
from reconciler.kds.proxy_insight import ProxyInsight
from reconciler.model.resource import Labels, ResourceKey
from reconciler.state import ResourceDiff, apply
from reconciler.steps import zone_build
from reconciler.steps import zone_state as z
from reconciler.steps.zone_egress import warnings, without_egress
from reconciler.steps.zone_report import report_of
from tests.support.mesh import a_mesh, a_policy, an_external, an_ingress, offers
from tests.support.zone import INGRESS, START, Zone, dataplane, settings, zone
from xds.discovery import DeltaRequest
from xds.names import ADMIN_LISTENER
from xds.readable import readable

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

EGRESS = {
    "type": "ZoneEgress",
    "name": "egress",
    "networking": {"address": "10.0.0.8", "port": 10002},
}
SAID = {
    "dataplane.admin.port": "9901",
    "dataplane.admin.socketPath": "/w/admin.sock",
    "dataplane.readinessReporter.port": "9902",
}


def change(made: Zone, *put: MeshResource, drop: tuple[MeshResource, ...] = ()) -> list[z.Effect]:
    """Global-owned resources that come in at once, and what follows."""
    diff, state = ResourceDiff(put, tuple(r.key for r in drop)), made.state
    state = replace(state, policy=apply(state.policy, diff), merged=apply(state.merged, diff))
    made.state, _ = zone_build.touched(state, diff)
    made.tick(1.0)
    effects = made.effects
    return [*effects, *made.deliver(z.BuildDue(made.now))]


def served() -> tuple[Zone, str]:
    made = zone(admin_access=True)
    stream = made.connect(EGRESS, said=SAID)
    made.acknowledge_all(stream)
    return made, stream


def test_with_nothing_to_pass_on_it_listens_and_counts_as_acknowledged() -> None:
    """So that whoever comes before the first service is told so, and not refused."""
    made, _ = served()
    snapshot = made.state.proxies[".egress"].snapshot
    assert snapshot is not None
    assert list(snapshot.listeners) == ["inbound:10.0.0.8:10002", ADMIN_LISTENER]
    assert sorted(snapshot.clusters) == ["kuma:envoy:admin", "kuma:readiness"]
    assert (snapshot.endpoints, snapshot.secrets) == ({}, {})
    report = report_of(made.state)
    assert (report.total, report.acked) == (1, 1)


def test_without_an_admin_port_its_lists_are_answered_empty() -> None:
    made = zone()
    stream = made.connect(EGRESS)
    made.acknowledge_all(stream)
    assert made.state.proxies[".egress"].listening
    assert report_of(made.state).acked == 1


def test_global_is_told_of_it_with_its_zone_and_of_its_streams() -> None:
    made, stream = served()
    made.deliver(z.GlobalConnected("k"))
    names = {}
    for type_ in ("ZoneEgress", "ZoneEgressInsight"):
        effects = made.deliver(z.GlobalRequest("k", DeltaRequest(type_)))
        (told,) = [e.response for e in effects if isinstance(e, z.ToGlobalResponse)]
        (names[type_],) = [r.name for r in told.resources]
    assert names["ZoneEgress"] == names["ZoneEgressInsight"]
    (kept,) = made.state.local.of("ZoneEgress")
    assert '"zone":"east"' in kept.body
    assert made.state.published.frames["ZoneEgressInsight", kept.key].insight != ProxyInsight()
    made.lose(stream)
    made.tick(10.0)
    assert made.state.local.of("ZoneEgress") == ()
    assert made.state.published.types["ZoneEgress"] == {}


def test_it_offers_nothing_and_takes_nothing_from_the_ingress() -> None:
    made, _ = served()
    made.connect(INGRESS)
    assert made.services == {}
    assert made.state.local.of("ZoneEgress") != ()


def test_two_zone_proxies_of_one_name_would_be_one_node() -> None:
    """The node id of a zone proxy names no kind: the second would take the place of the first."""
    made, stream = served()
    for there in (True, False):
        made.connect({**INGRESS, "name": "egress"}, listeners=False)
        closing = made.closing()
        assert closing is not None
        assert "ZoneEgress egress has the node id .egress, too" in closing.message
        if there:
            made.lose(stream)
    assert made.state.local.of("ZoneIngress") == ()


def test_what_policies_say_of_other_zones_reaches_an_egress_that_stands() -> None:
    there = [
        an_ingress(zone, offers("web", zone=zone), address=f"203.0.113.{n}")
        for n, zone in enumerate(("west", "north"), 1)
    ]
    made = Zone(z.ZoneState(settings=settings()))
    made.deliver(z.Restored(START, (a_mesh(zone_egress=True),), relayed=tuple(there)))
    made.connect(EGRESS)
    steps = [{"to": {"type": "Only", "zones": [zone]}} for zone in ("north", "west")]
    conf = {"localityAwareness": {"crossZone": {"failover": steps}}}
    item = {"targetRef": {"kind": "MeshService", "name": "web"}, "default": conf}
    spec = {"targetRef": {"kind": "Mesh"}, "to": [item]}
    change(made, a_policy("MeshLoadBalancingStrategy", "order", spec))
    snapshot = made.state.proxies[".egress"].snapshot
    assert snapshot is not None
    found: Any = readable(snapshot.endpoints["default:web"])
    assert {e["locality"]["zone"]: e["priority"] for e in found["endpoints"]} == {
        "north": 1, "west": 2
    }  # fmt: skip


# --- none is there ---

ASKING = mesh_resource(
    ResourceKey("Mesh", "", "default"),
    Labels(),
    {
        "mtls": {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]},
        "routing": {"zoneEgress": True},
    },
)


def noted(made: Zone) -> list[tuple[str, object]]:
    """Events about egresses, since the last look."""
    found = [e for e in made.effects if isinstance(e, z.Note) and e.event.startswith("egress.")]
    return [(e.event, e.fields["mesh"]) for e in found]


def test_mesh_without_its_egress_is_told_once_and_once_when_it_has_one() -> None:
    made = zone(ASKING)
    made.tick(1.5)
    assert noted(made) == []  # Nobody here is of that mesh.
    made.connect(dataplane("web-1", "web"))
    told = []
    for _ in range(3):
        made.tick(1.5)
        told += noted(made)
        made.connect(dataplane("web-2", "web", address="10.0.0.2"))
    assert told == [("egress.missing", "default")]
    assert without_egress(made.state) == ("default",)
    (text,) = warnings(made.state)
    assert "mesh default has routing.zoneEgress" in text
    assert "zone east has no egress" in text
    stream = made.connect(EGRESS)
    made.tick(1.5)
    assert noted(made) == [("egress.found", "default")]
    assert list(warnings(made.state)) == []
    made.lose(stream)
    made.tick(1.5)
    assert noted(made) == [("egress.missing", "default")]


def test_mesh_that_does_not_ask_for_an_egress_lacks_none() -> None:
    made = zone()
    made.connect(dataplane("web-1", "web"))
    made.tick(1.5)
    assert noted(made) == []
    assert without_egress(made.state) == ()


# --- the way through it ---

CA = tuple(
    mesh_resource(
        ResourceKey("Secret", "default", f"default.ca-builtin-{part}-ca"),
        Labels(),
        {"data": "eA=="},
    )
    for part in ("cert", "key")
)
WEST = mesh_resource(
    ResourceKey("ZoneIngress", "", "ingress-west"),
    Labels(),
    {
        **INGRESS,
        "zone": "west",
        "availableServices": [
            {"mesh": "default", "instances": 1, "tags": {"kuma.io/service": "web"}}
        ],
    },
)


def ways(made: Zone) -> list[str]:
    """Where the proxy was told that web is."""
    view = made.state.proxies["default.api-1"].view
    assert view is not None
    (found,) = (e for e in view.endpoints if e.cluster == "web")
    return [each.address for each in found.endpoints]


def test_calls_go_by_the_egresses_that_are_there_and_change_with_them_at_once() -> None:
    made = zone()
    made.deliver(z.Restored(made.now, (ASKING, *CA), (WEST,), revision="c1"))
    made.connect(dataplane("api-1", "api", "web"))
    assert ways(made) == []
    first = made.connect(EGRESS)
    assert ways(made) == ["10.0.0.8"]
    networking = {"address": "10.0.0.7", "port": 10002}
    made.connect({**EGRESS, "name": "other", "networking": networking})
    assert ways(made) == ["10.0.0.7", "10.0.0.8"]
    made.lose(first)
    assert ways(made) == ["10.0.0.7"]


# --- out of the mesh ---


def asking(mesh: str) -> MeshResource:
    spec = {
        "mtls": {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]},
        "routing": {"zoneEgress": True},
    }
    return mesh_resource(ResourceKey("Mesh", "", mesh), Labels(), spec)


def ca_of(mesh: str) -> tuple[MeshResource, ...]:
    names = (f"{mesh}.ca-builtin-{part}-ca" for part in ("cert", "key"))
    return tuple(
        mesh_resource(ResourceKey("Secret", mesh, name), Labels(), {"data": "eA=="})
        for name in names
    )


def identities(made: Zone) -> dict[str, tuple[str, ...]]:
    """What the egress is, by mesh, and only where it has been told."""
    proxy = made.state.proxies[".egress"]
    assert proxy.snapshot is not None
    held = set(proxy.snapshot.secrets)
    return {
        mesh: identity.certificate.uris
        for mesh, identity in proxy.identities.items()
        if identity.certificate is not None and f"identity_cert:secret:{mesh}" in held
    }


AS_EGRESS = {
    mesh: (f"spiffe://{mesh}/zone-egress", "kuma://kuma.io/service/zone-egress") for mesh in "ab"
}


def test_an_egress_has_a_certificate_of_each_mesh_that_it_lets_out() -> None:
    made = zone(*(each for mesh in "ab" for each in (asking(mesh), *ca_of(mesh))))
    change(made, an_external("pay", mesh="a"), an_external("pay", mesh="b"))
    made.connect(EGRESS)
    assert identities(made) == AS_EGRESS
    change(made, drop=(an_external("pay", mesh="a"),))
    assert identities(made) == {"b": AS_EGRESS["b"]}
    assert list(made.state.proxies[".egress"].identities) == ["b"]


def test_a_mesh_without_its_ca_holds_up_no_other() -> None:
    made = zone(asking("a"), asking("b"), *ca_of("b"))
    change(made, an_external("pay", mesh="a"), an_external("pay", mesh="b"))
    made.connect(EGRESS)
    assert identities(made) == {"b": AS_EGRESS["b"]}
    change(made, *ca_of("a"))
    assert identities(made) == AS_EGRESS


def test_certificates_of_an_egress_are_renewed_and_a_failure_is_tried_again() -> None:
    made = zone(asking("a"), *ca_of("a"))
    change(made, an_external("pay", mesh="a"))
    made.connect(EGRESS)
    made.tick(0.81 * 86_400)
    asked = [e for e in made.effects if isinstance(e, z.IssueCertificate)]
    assert [(e.node_id, e.mesh, e.uris) for e in asked] == [(".egress", "a", AS_EGRESS["a"])]
    proxy = made.state.proxies[".egress"]
    held = replace(proxy.identities["a"], issuing=True)
    proxies = made.state.proxies.insert(".egress", proxy.with_identity("a", held))
    made.state = replace(made.state, proxies=proxies)
    made.deliver(z.IssueFailed(".egress", "a", "no entropy", made.now))
    assert identities(made) == {"a": AS_EGRESS["a"]}
    assert made.state.proxies[".egress"].identities["a"].failing is not None
    made.tick(6.0)
    assert made.state.proxies[".egress"].identities["a"].failing is None


def test_an_egress_that_comes_back_keeps_its_certificates() -> None:
    made = zone(asking("a"), *ca_of("a"))
    change(made, an_external("pay", mesh="a"))
    made.lose(made.connect(EGRESS))
    before = made.state.proxies[".egress"].identities["a"].certificate
    made.now += 1.0
    made.connect(EGRESS)
    assert identities(made) == {"a": AS_EGRESS["a"]}
    assert made.state.proxies[".egress"].identities["a"].certificate is before


def test_a_secret_that_is_missing_is_told_once_and_what_it_is_for() -> None:
    pay = an_external("pay", tls={"enabled": True, "caCert": {"secret": "pay-ca"}})
    made = zone(pay)
    made.connect(dataplane("web-1", "web", "pay"))
    told = []
    for _ in range(2):
        made.tick(1.5)
        found = [e for e in made.effects if isinstance(e, z.Note)]
        told += [e.fields["message"] for e in found if e.event == "external.incomplete"]
        made.connect(dataplane("web-2", "web", address="10.0.0.2"))
    (text,) = told
    lacks = 'ExternalService default/pay: caCert is in secret "pay-ca", which is not here'
    assert text == lacks
    assert list(warnings(made.state)) == [f"{lacks}; that endpoint is left out"]
    other = an_external("other", tls={"enabled": True, "caCert": {"secret": "other-ca"}})
    found = [e for e in change(made, other) if isinstance(e, z.Note)]
    texts = [str(e.fields["message"]) for e in found if e.event == "external.incomplete"]
    assert [text.partition(":")[0] for text in texts] == ["ExternalService default/other"]


def test_the_ingress_offers_what_is_reached_from_here_alone_while_there_is_an_egress() -> None:
    made = zone(ASKING, *CA)
    made.connect(INGRESS)
    change(made, an_external("pay", zone="east"), an_external("all"))
    assert made.services == {}
    stream = made.connect(EGRESS)
    made.acknowledge_all(stream)
    assert made.services == {"pay": 1}
    (kept,) = made.state.local.of("ZoneIngress")
    assert '"externalService":true' in kept.body
    made.lose(stream)
    assert made.services == {}
