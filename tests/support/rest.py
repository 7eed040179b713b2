"""What a control plane shows over HTTP, without a process: catalogues of the golden documents, of
one zone and its proxies. Test support.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from reconciler.decode import mesh_resource
from reconciler.kds.proxy_insight import ProxyInsight, insight_bytes
from reconciler.load import Blob, Loaded, LoadMemo, load
from reconciler.model.kinds import KINDS
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.model.spec import InsightSpec
from reconciler.problems import has_errors
from reconciler.rest.answer import Asked, Refused
from reconciler.rest.callers import ADMIN, AUTHENTICATED, Caller
from reconciler.rest.catalogue import Catalogue
from reconciler.rest.endpoints import ENDPOINTS
from reconciler.rest.global_catalogue import of_global
from reconciler.rest.mesh_insights import MeshInsights
from reconciler.rest.zone_catalogue import of_zone
from reconciler.standing import as_carried
from reconciler.state import from_resources
from reconciler.steps import global_state as g
from tests.support.global_plane import Global
from tests.support.golden_frames import GOLDEN, NOT_FROM_GIT, SECRETS, documents, up
from tests.support.zone import START, dataplane, zone
from xds.discovery import DeltaResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.kds.proxy_insight import Subscription

ALICE = Caller("alice", (AUTHENTICATED,))
BOSS = Caller("boss", (ADMIN, AUTHENTICATED))
REPOSITORY = "https://git.example/mesh.git"
# Those that a repository may hold, each with its golden documents.
IN_GIT = tuple(
    kind.name
    for kind in KINDS.values()
    if not kind.zone_owned and kind.name not in NOT_FROM_GIT and kind.name != "Zone"
)
FROM_ZONES = ("Dataplane", "ZoneIngress", "ZoneEgress", "MeshService", "Workload")


@cache
def loaded() -> Loaded:
    blobs = {f"{type_}.yaml": Blob("", (GOLDEN / f"{type_}.yaml").read_bytes()) for type_ in IN_GIT}
    blobs["secrets.yaml"] = Blob("", SECRETS)
    blobs["zone.yaml"] = Blob("", b"{type: Zone, name: east, enabled: true}")
    found = load(blobs, LoadMemo())
    assert not has_errors(found.problems), [str(p) for p in found.problems]
    return found


@cache
def global_catalogue() -> Catalogue:
    """At the global: all kinds of a repository, and what zone east told."""
    found = loaded()
    held = from_resources(map(as_carried, found.resources))
    made = Global()
    made.deliver(g.TipMoved("c1"))
    key = g.ReconcileKey("tree", "settings")
    made.deliver(g.Loaded(g.Revision("c1", key, held, found.provenance)))
    made.connect("east")
    for number, type_ in enumerate(FROM_ZONES):
        entries = tuple(up(type_))
        made.zone_says("east", DeltaResponse(type_, str(number + 1), entries))
    shown = of_global(
        made.state,
        repository=REPOSITORY,
        branch="main",
        hostname="global.example",
        now=START,
        items_max=1000,
    )
    assert shown is not None
    return shown


@cache
def zone_catalogue() -> Catalogue:
    """At zone east: the same policies, and three proxies."""
    held = [as_carried(resource) for resource in loaded().resources]
    carried = [r for r in held if KINDS[r.key.type].down and r.key.type != "Mesh"]
    made = zone(*carried)
    for number, service in enumerate(("web", "backend", "backend")):
        calls = ("backend",) if service == "web" else ()
        address = f"10.0.0.{number + 1}"
        made.connect(dataplane(f"{service}-{number}", service, *calls, address=address))
    return of_zone(made.state, hostname="zone.example", now=START + 5, items_max=1000)


def asked(path: str = "/", body: object = None, caller: Caller = ALICE, **places: str) -> Asked:
    """A request; `body` as JSON, bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
    return Asked(path=path, route=path, places=places, base="http://cp", caller=caller, body=data)


def document_of(type_: str, name: str) -> dict[str, Any]:
    """As it stands in its file."""
    return next(found for found in documents(type_) if found["name"] == name)


def ask(catalogue: Catalogue, target: str, caller: Caller = ALICE) -> tuple[int, Any]:
    """Status and JSON of a GET, by the endpoint that the server would choose."""
    path, _, query = target.partition("?")
    for endpoint in ENDPOINTS:
        places = _fits(endpoint.path, path)
        if places is not None:
            request = Asked(
                path=path,
                route=endpoint.path,
                places=places,
                query=tuple(parse_qsl(query, keep_blank_values=True)),
                base="http://cp",
                caller=caller,
            )
            try:
                answer = endpoint.answer(catalogue, request)
            except Refused as refused:
                answer = refused.answer()
            return answer.status, json.loads(answer.body)
    raise LookupError(path)


def _fits(template: str, path: str) -> dict[str, str] | None:
    wanted, given = template.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    pairs = list(zip(wanted, given, strict=True))
    if any(want != have for want, have in pairs if not want.startswith("{")):
        return None
    return {want.strip("{}"): have for want, have in pairs if want.startswith("{")}


def names(catalogue: Catalogue, target: str) -> list[str]:
    status, found = ask(catalogue, target)
    assert status == 200, found
    return [item["name"] for item in found["items"]]


def catalogue(*resources: MeshResource, **more: Any) -> Catalogue:
    """Of these, as a global has them."""
    given: dict[str, Any] = {
        "mode": "global",
        "version": "0.1",
        "revision": "c0ffee0123456789",
        "layers": (from_resources(resources),),
        "derived": {"MeshInsight": MeshInsights},
        "now": START,
    }
    return Catalogue(**given | more)


def made(
    type_: str,
    name: str,
    data: Mapping[str, object] | None = None,
    *,
    mesh: str = "default",
    **more: str,
) -> MeshResource:
    """A resource; `more` are its labels, `kuma.io/` before each."""
    key = ResourceKey(type_, mesh if KINDS[type_].mesh_scoped else "", name)
    labels = Labels.of({f"kuma.io/{label.replace('_', '-')}": v for label, v in more.items()})
    return mesh_resource(key, labels, data or {})


def insight_of(base: MeshResource, *streams: Subscription, backend: str = "") -> MeshResource:
    """Of a proxy with these streams, the newest last."""
    key = base.key
    type_ = f"{key.type}Insight"
    told = ProxyInsight(streams, backend, backends=(backend,) if backend else ())
    message = insight_bytes(type_, key.name, told)
    spec = InsightSpec(any(s.until is None for s in streams), backend, message)
    return MeshResource(ResourceKey(type_, key.mesh, key.name), base.labels, "", spec)
