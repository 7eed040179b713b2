"""A ZoneEgress is admitted, kept and told of, and calls go through it as long as it is there."""

from __future__ import annotations

from reconciler.decode import mesh_resource
from reconciler.kds.proxy_insight import ProxyInsight
from reconciler.model.resource import Labels, ResourceKey
from reconciler.steps import zone_state as z
from reconciler.steps.zone_egress import warnings, without_egress
from reconciler.steps.zone_report import report_of
from tests.support.zone import INGRESS, Zone, dataplane, zone
from xds.discovery import DeltaRequest
from xds.names import ADMIN_LISTENER

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
