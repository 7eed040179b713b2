"""The documents in tests/kds/golden and the frames that the program makes of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from reconciler.decode import mesh_resource
from reconciler.kds.codec import CarriedResource, canonical_data, encode_carried
from reconciler.kds.receive import accept_from_zone
from reconciler.kds.upward import zone_carried
from reconciler.load import Blob, LoadMemo, load
from reconciler.model.kinds import GLOBAL_TO_ZONE, KINDS, ZONE_TO_GLOBAL
from reconciler.model.resource import Labels, MeshResource, ResourceKey, canonical_json
from reconciler.problems import has_errors
from reconciler.standing import as_carried
from reconciler.state import EMPTY, from_resources
from tests.support.slices import sliced

if TYPE_CHECKING:
    from xds.resource import XdsResource

GOLDEN = Path(__file__).parents[1] / "kds" / "golden"
META = ("type", "mesh", "name", "labels", "status")
TO_ZONE, TO_GLOBAL = "global_to_zone", "zone_to_global"
TRAVELS = [(t, TO_ZONE) for t in GLOBAL_TO_ZONE] + [(t, TO_GLOBAL) for t in ZONE_TO_GLOBAL]
# What the documents refer to.
SECRETS = b"""
secrets:
- {mesh: default, name: pay-ca, file: a}
- {mesh: default, name: edge-cert, file: b}
"""
NOT_FROM_GIT = ("Config", "GlobalSecret", "Secret", "ServiceInsight")  # the global makes them
RELAYED = tuple(t for t in GLOBAL_TO_ZONE if not KINDS[t].down)


def documents(type_: str) -> list[dict[str, Any]]:
    found = list(yaml.safe_load_all((GOLDEN / f"{type_}.yaml").read_text()))
    assert {document["type"] for document in found} == {type_}
    return found


def spec_of(document: dict[str, Any]) -> Any:
    if KINDS[document["type"]].legacy:
        return {key: value for key, value in document.items() if key not in META}
    return document["spec"]


def resource_of(document: dict[str, Any]) -> MeshResource:
    key = ResourceKey(document["type"], document.get("mesh", ""), document["name"])
    status = canonical_json(document["status"]) if "status" in document else None
    data = canonical_data(key.type, spec_of(document))
    return mesh_resource(key, Labels.of(document.get("labels", {})), data, status)


def down(type_: str) -> list[XdsResource]:
    """What a zone is sent: of a commit, of what the global makes, or of what zone east sent up."""
    if type_ in RELAYED:
        relayed = [_from_east(resource_of(document)) for document in documents(type_)]
        found = sliced(None, "west", "c1", EMPTY, from_resources(relayed))
    elif type_ in NOT_FROM_GIT:
        made = from_resources(map(resource_of, documents(type_)))
        found = sliced(None, "west", "c1", made, EMPTY)
    else:
        blobs = {
            "mesh.yaml": Blob("", b"{type: Mesh, name: default}"),
            "secrets.yaml": Blob("", SECRETS),
            "p.yaml": Blob("", (GOLDEN / f"{type_}.yaml").read_bytes()),
        }
        if type_ == "Mesh":
            del blobs["mesh.yaml"]
        loaded = load(blobs, LoadMemo())
        assert not has_errors(loaded.problems), [str(p) for p in loaded.problems]
        found = sliced(None, "west", "c1", from_resources(map(as_carried, loaded.resources)), EMPTY)
    return list(found.types[type_].values())


def _from_east(resource: MeshResource) -> MeshResource:
    accepted = accept_from_zone("east", zone_carried("east", resource))
    assert isinstance(accepted, CarriedResource)
    key = ResourceKey(accepted.type, accepted.mesh, accepted.name)
    return mesh_resource(key, Labels.of(accepted.labels), accepted.data, accepted.status)


def up(type_: str) -> list[XdsResource]:
    return [
        encode_carried(zone_carried("east", resource_of(document))) for document in documents(type_)
    ]


@cache
def frames(type_: str, direction: str) -> tuple[XdsResource, ...]:
    found = down(type_) if direction == TO_ZONE else up(type_)
    return tuple(sorted(found, key=lambda frame: frame.name))
