"""What a control plane shows over HTTP, without a process: catalogues of the golden documents, of
one zone and its proxies. Test support.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from reconciler.load import Blob, Loaded, LoadMemo, load
from reconciler.model.kinds import KINDS
from reconciler.problems import has_errors
from reconciler.rest.answer import Asked
from reconciler.rest.callers import ADMIN, AUTHENTICATED, Caller
from reconciler.rest.global_catalogue import of_global
from reconciler.rest.zone_catalogue import of_zone
from reconciler.standing import as_carried
from reconciler.state import from_resources
from reconciler.steps import global_state as g
from tests.support.global_plane import Global
from tests.support.golden_frames import GOLDEN, NOT_FROM_GIT, SECRETS, documents, up
from tests.support.zone import START, dataplane, zone
from xds.discovery import DeltaResponse

if TYPE_CHECKING:
    from reconciler.rest.catalogue import Catalogue

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
