"""What is answered to who writes a resource: policies have one way in, Git. What is the same as
what is served is no change, so `kumactl apply` tells whether Git and a file differ. Pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.kds.codec import canonical_data
from reconciler.legacy_fields import read_legacy
from reconciler.limits import is_deep
from reconciler.model.kinds import KINDS
from reconciler.model.resource import (
    DISPLAY_NAME,
    ENV,
    MESH,
    ORIGIN,
    ResourceKey,
    canonical_json,
)
from reconciler.rest.answer import Answer, Refused, encoded
from reconciler.rest.meaning import means_same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue

READ_ONLY = "Read only"
ALLOW = "GET, HEAD"
HEAD = frozenset({"type", "mesh", "name", "creationTime", "modificationTime", "labels", "kri"})
PLUGIN_REST = frozenset({"snis", "status"})
OURS = frozenset({MESH, ORIGIN, ENV, DISPLAY_NAME})  # labels that nobody writes into a file


def put(catalogue: Catalogue, type_: str, asked: Asked) -> Answer:
    """200 when nothing would change, else where to change it."""
    key = _key(type_, asked)
    held = catalogue.get(key)
    if held is not None and is_same(held, asked.body):
        return Answer(200, encoded({}))
    raise refusal(catalogue, key)


def delete(catalogue: Catalogue, type_: str, asked: Asked) -> Answer:
    raise refusal(catalogue, _key(type_, asked))


def _key(type_: str, asked: Asked) -> ResourceKey:
    return ResourceKey(type_, asked.places.get("mesh", ""), asked.places["name"])


def refusal(catalogue: Catalogue, key: ResourceKey) -> Refused:
    """On one line: kumactl prints it inline."""
    return Refused(405, READ_ONLY, _where(catalogue, key), allow=ALLOW)


def _where(catalogue: Catalogue, key: ResourceKey) -> str:
    kind, held = KINDS[key.type], catalogue.get(key)
    if key.type in ("Secret", "GlobalSecret"):
        return "secrets are named in secrets.yaml of the policy repository and read by the global"
    if kind.zone_owned:
        return f"a {key.type} is made by its zone, from what its proxies say of themselves"
    if catalogue.mode == "zone":
        return "this zone has its policies from the global: change them in the policy repository"
    repository = catalogue.repository or "the policy repository"
    branch = f", branch {catalogue.branch}" if catalogue.branch else ""
    place = catalogue.places.get(key)
    if place is not None:
        return f"change it in Git: {repository}{branch}, {place}"
    if held is not None:
        return f"it is a default of its mesh: commit one of this name to {repository}{branch}"
    return f"commit a file with it to {repository}{branch}, and push it"


def is_same(held: MeshResource, body: bytes) -> bool:
    """Whether the document means what is held."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if not isinstance(given, dict) or is_deep(given):
        return False
    return _says_who(held, given) and _same_labels(held, given) and _same_spec(held, given)


def _says_who(held: MeshResource, given: Mapping[str, Any]) -> bool:
    key = held.key
    mesh = given.get("mesh", key.mesh)
    return (given.get("type"), mesh or "", given.get("name")) == (key.type, key.mesh, key.name)


def _same_labels(held: MeshResource, given: Mapping[str, Any]) -> bool:
    labels = given.get("labels")
    if labels is None:
        labels = {}
    if not isinstance(labels, dict):
        return False
    mine = {k: v for k, v in held.labels.items() if k not in OURS}
    return mine == {k: v for k, v in labels.items() if k not in OURS}


def _same_spec(held: MeshResource, given: Mapping[str, Any]) -> bool:
    kind = KINDS[held.key.type]
    if kind.legacy:
        spec: Any = {key: value for key, value in given.items() if key not in HEAD}
        spec, faults = read_legacy(kind.name, spec)
        if faults:  # What the message cannot hold is nothing that is served.
            return False
    else:
        if given.keys() - HEAD - PLUGIN_REST - {"spec"}:
            return False
        spec = given.get("spec")
        if not isinstance(spec, dict):
            return False
    try:
        body = canonical_json(canonical_data(kind.name, spec))
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    shown = json.loads(held.body or "{}")
    if kind.legacy:  # A zone keeps its own proxies as they were registered.
        shown = canonical_data(kind.name, read_legacy(kind.name, shown)[0])
    return body == held.body or means_same(kind.name, json.loads(body), shown)
