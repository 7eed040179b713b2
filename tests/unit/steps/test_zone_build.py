"""What a change rebuilds, exactly; and that every proxy of the revision is known to have it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.state import ResourceDiff, apply
from reconciler.steps import zone_build
from reconciler.steps import zone_state as z
from reconciler.steps.proxy_state import Identity
from tests.support.zone import INGRESS, Zone, dataplane, policy, zone
from xds.build.clusters import build_cluster
from xds.discovery import DeltaRequest
from xds.memo import Memo
from xds.resource import CLUSTER, LISTENER, XdsResource
from xds.translate import Builders

if TYPE_CHECKING:
    from xds.view import ClusterInput


def timeout(milliseconds: int) -> dict[str, object]:
    conf = {"connectionTimeout": f"{milliseconds}ms"}
    return {"to": [{"targetRef": {"kind": "MeshService", "name": "backend"}, "default": conf}]}


def fleet() -> tuple[Zone, list[str]]:
    """Two callers of two services, and one backend; everything acknowledged."""
    made = zone(policy("MeshTimeout", "t", timeout(1000)))
    streams = [
        made.connect(INGRESS),
        made.connect(dataplane("caller-1", "caller", "backend", "other", address="10.0.0.1")),
        made.connect(dataplane("caller-2", "caller", "backend", "other", address="10.0.0.2")),
        made.connect(dataplane("backend-1", "backend", address="10.0.0.3")),
    ]
    for stream in streams:
        made.acknowledge_all(stream)
    return made, streams


def change(made: Zone, put: ResourceDiff) -> dict[str, int]:
    """Apply a change of global-owned resources; how many resources each stage really built."""
    before = dict(made.state.settings.builders.rebuilt)
    state = made.state
    made.state = replace(state, policy=apply(state.policy, put), merged=apply(state.merged, put))
    made.state, effects = zone_build.touched(made.state, put)
    if effects:
        made.deliver(z.BuildDue(made.now))
    after = made.state.settings.builders.rebuilt
    return {stage: after[stage] - before[stage] for stage in after if after[stage] != before[stage]}


def test_one_timeout_for_one_service_rebuilds_one_cluster_for_all_its_callers() -> None:
    made, _ = fleet()
    put = ResourceDiff(put=(policy("MeshTimeout", "t", timeout(2000)),))
    # And no listener: they read nothing of a connection's timeout.
    assert change(made, put) == {"cluster": 1}


def test_policy_that_says_the_same_rebuilds_nothing() -> None:
    made, _ = fleet()
    again = mesh_resource(
        ResourceKey("MeshTimeout", "default", "t"), Labels.of({"note": "x"}), timeout(1000)
    )
    assert change(made, ResourceDiff(put=(again,))) == {}


def test_new_instance_rebuilds_its_services_endpoints_only() -> None:
    made, _ = fleet()
    before = dict(made.state.settings.builders.rebuilt)
    made.connect(dataplane("backend-2", "backend", address="10.0.0.4"))
    after = made.state.settings.builders.rebuilt
    built = {stage: after[stage] - before[stage] for stage in after}
    # One assignment for the callers, one for the ingress; the new proxy's own door and application.
    assert built == {"cluster": 1, "endpoints": 2, "listener": 1}


def test_report_counts_who_has_the_revision() -> None:
    made, streams = fleet()
    made.tick(1.0)
    report = made.state.reported
    assert report is not None
    assert (report.revision, report.total, report.acked, report.pending) == ("c1", 4, 4, 0)
    assert streams


def test_rejection_is_data_and_names_the_policies_behind_it() -> None:
    made = zone(policy("MeshTimeout", "t", timeout(1000)))
    stream = made.connect(dataplane("caller", "caller", "backend"), listeners=False)
    made.request(stream, DeltaRequest(LISTENER))
    listeners = next(r for r in made.sent[stream] if r.type_url == LISTENER)
    refusal = DeltaRequest(LISTENER, nonce=listeners.nonce, error="bad listener")
    effects = made.request(stream, refusal)
    assert any(isinstance(e, z.Note) and e.event == "proxy.rejected" for e in effects)
    made.tick(1.0)
    report = made.state.reported
    assert report is not None
    assert report.rejected == 1
    (rejection,) = report.rejections
    assert (rejection.proxy, rejection.type, rejection.message) == (
        "default.caller",
        "Listener",
        "bad listener",
    )
    assert "MeshTimeout default/t" in rejection.policies


def test_certificate_is_asked_for_again_at_four_fifths_of_its_life() -> None:
    mesh = mesh_resource(
        ResourceKey("Mesh", "", "default"),
        Labels(),
        {"mtls": {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}},
    )
    secrets = [
        mesh_resource(ResourceKey("Secret", "default", name), Labels(), {"data": "eA=="})
        for name in ("default.ca-builtin-cert-ca", "default.ca-builtin-key-ca")
    ]
    made = zone(mesh, *secrets)
    made.connect(dataplane("web", "web"))
    made.tick(0.79 * 86400)
    assert not any(isinstance(e, z.IssueCertificate) for e in made.effects)
    made.tick(0.02 * 86400)
    asked = [e for e in made.effects if isinstance(e, z.IssueCertificate)]
    assert [e.node_id for e in asked] == ["default.web"]
    assert asked[0].uris[0] == "spiffe://default/web"


def test_proxy_waits_for_its_certificate_rather_than_run_without() -> None:
    """Unknown is not empty: nothing is answered until the certificate is there."""
    mesh = mesh_resource(
        ResourceKey("Mesh", "", "default"),
        Labels(),
        {"mtls": {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}},
    )
    made = zone(mesh)  # without the CA's secrets
    stream = made.connect(dataplane("web", "web"))
    assert made.sent.get(stream) is None


def test_proxy_that_cannot_be_built_for_holds_up_no_other() -> None:
    """It keeps what it has and is told of; whoever waits behind it is served."""

    def build(argument: ClusterInput) -> XdsResource:
        if argument.name == "poison":
            raise ValueError("no such cluster")
        return build_cluster(argument)

    builders = replace(Builders(), cluster=Memo("cluster", build, 100))
    made = zone(builders=builders)
    bad = made.connect(dataplane("bad", "a", "poison"), listeners=False)
    failed = [e.fields for e in made.effects if isinstance(e, z.Note) and "failed" in e.event]
    assert failed == [{"proxy": "default.bad", "message": "no such cluster"}]
    good = made.connect(dataplane("good", "b", address="10.0.0.2"))
    assert {r.type_url for r in made.sent[good]} == {CLUSTER, LISTENER}
    assert bad not in made.sent


def certified_zone(ca: str = "eA==") -> list[MeshResource]:
    """A mesh with a builtin CA of this content."""
    backend = {"name": "ca", "type": "builtin"}
    mtls = {"enabledBackend": "ca", "backends": [backend]}
    names = ("default.ca-builtin-cert-ca", "default.ca-builtin-key-ca")
    secrets = [ResourceKey("Secret", "default", name) for name in names]
    return [
        mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {"mtls": mtls}),
        *(mesh_resource(key, Labels(), {"data": ca}) for key in secrets),
    ]


def test_zone_wakes_for_the_renewal_of_a_certificate_by_itself() -> None:
    made = zone(*certified_zone())
    made.connect(dataplane("web", "web"), listeners=False)
    wakes = {e.at for e in made.effects if isinstance(e, z.WakeAt)}
    assert made.now + 0.8 * 86400 in wakes


def test_another_ca_means_another_certificate() -> None:
    made = zone(*certified_zone())
    made.connect(dataplane("web", "web"))
    state, put = made.state, ResourceDiff(put=tuple(certified_zone("eQ==")))
    state = replace(state, policy=apply(state.policy, put), merged=apply(state.merged, put))
    made.state, _ = zone_build.touched(state, put)
    asked = made.deliver(z.BuildDue(made.now))
    assert [e.ca_cert_pem for e in asked if isinstance(e, z.IssueCertificate)] == [b"y"]


def test_certificate_that_could_not_be_made_is_asked_for_again_soon() -> None:
    made = zone(*certified_zone())
    made.connect(dataplane("web", "web"))
    made.tick(0.9 * 86400)  # It asks, and the answer is given by hand below.
    state = made.state
    proxy = state.proxies["default.web"]
    none = Identity(trust=proxy.own.trust, issuing=True)
    waiting = replace(proxy.with_identity("default", none), snapshot=None)
    made.state = replace(state, proxies=state.proxies.insert("default.web", waiting))
    effects = made.deliver(z.IssueFailed("default.web", "default", "no entropy", made.now))
    wake = min(e.at for e in effects if isinstance(e, z.WakeAt))
    assert made.now < wake <= made.now + 10.0
    made.tick(wake - made.now)
    assert any(isinstance(e, z.IssueCertificate) for e in made.effects)
