"""What a status says of names and addresses, in the form of Kuma's API."""

from __future__ import annotations

from reconciler.defaults import with_defaults, zone_generators
from reconciler.model.resource import DISPLAY_NAME, ENV, ORIGIN, ZONE
from reconciler.vips.entries import Entry, EntryKind
from reconciler.vips.hostnames import Generated
from reconciler.vips.statuses import status_of
from tests.support.mesh import a_mesh, a_mesh_service, a_multi_zone_service
from tests.support.names import a_mesh_external, wanted

MADE = (
    Generated("a", "x.mesh", "Generated"),
    Generated("b", "", "Collision", "Hostname collision with MeshService: y"),
)


def condition(generator: str, status: str, reason: str, message: str = "") -> dict[str, object]:
    told = {"type": "Generated", "status": status, "reason": reason, "message": message}
    return {"hostnameGeneratorRef": {"coreName": generator}, "conditions": [told]}


def test_a_status_has_the_names_what_became_of_others_and_the_address() -> None:
    found = status_of(EntryKind.MESH_SERVICE, MADE, "241.0.0.1")
    assert found == {
        "addresses": [
            {
                "hostname": "x.mesh",
                "origin": "HostnameGenerator",
                "hostnameGeneratorRef": {"coreName": "a"},
            }
        ],
        "hostnameGenerators": [
            condition("a", "True", "Generated"),
            condition("b", "False", "Collision", "Hostname collision with MeshService: y"),
        ],
        "vips": [{"ip": "241.0.0.1"}],
    }


def test_a_mesh_external_service_has_one_vip_and_nothing_says_nothing() -> None:
    assert status_of(EntryKind.EXTERNAL, (), "242.0.0.0") == {"vip": {"ip": "242.0.0.0"}}
    assert status_of(EntryKind.MULTI_ZONE, (), None) == {}
    assert status_of(EntryKind.MULTI_ZONE, MADE[1:], None).keys() == {"hostnameGenerators"}


def test_the_default_generators_name_every_service_as_kumas_do() -> None:
    ours = a_mesh_service("web", {ZONE: "east", ORIGIN: "zone", ENV: "universal"})
    theirs = {ZONE: "west", ORIGIN: "global", ENV: "universal"}
    kube = {
        **theirs,
        ENV: "kubernetes",
        "k8s.kuma.io/namespace": "shop",
        "k8s.kuma.io/is-headless-service": "false",
    }
    headless = {
        **kube,
        "k8s.kuma.io/is-headless-service": "true",
        "k8s.kuma.io/service-name": "db",
        "statefulset.kubernetes.io/pod-name": "db-0",
    }
    given = {ORIGIN: "global"}
    globally = (r for r in with_defaults((a_mesh(),)) if r.key.type == "HostnameGenerator")
    found = wanted(
        ours,
        a_mesh_service("web", theirs, key="web-x"),
        a_mesh_service("api", kube, key="api-x"),
        a_mesh_service("db-0", headless, key="db-x"),
        a_multi_zone_service("web", {}, given),
        a_mesh_external("pay-x", labels={**given, DISPLAY_NAME: "pay"}),
        a_mesh_external("own", labels={ORIGIN: "zone", ZONE: "east"}),
        *zone_generators("east"),
        *globally,
    )
    services, kinds = EntryKind.MESH_SERVICE, EntryKind
    assert {entry: holder.names for entry, holder in found.holders.items()} == {
        Entry(services, "web"): ("web.svc.mesh.local",),
        Entry(services, "web-x"): ("web.svc.west.mesh.local",),
        Entry(services, "api-x"): ("api.shop.svc.west.mesh.local",),
        Entry(services, "db-x"): ("db-0.db.shop.svc.west.mesh.local",),
        Entry(kinds.MULTI_ZONE, "web"): ("web.mzsvc.mesh.local",),
        Entry(kinds.EXTERNAL, "pay-x"): ("pay.extsvc.mesh.local",),
        Entry(kinds.EXTERNAL, "own"): ("own.extsvc.mesh.local",),
    }
    assert found.problems == ()
