"""References to nothing. Pure.

A name in a document of the repository means a resource of the repository: what zones make is
reached by labels. So of the kinds that people write it is known here whether there is one.
MeshServices are made by zones, and with tags their names are those of proxies: nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.hints.hint import Hint, fields, items, spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.hints.hint import Fields
    from reconciler.model.resource import MeshResource
    from reconciler.problems import Path

_REFERRED = (
    "MeshExternalService",
    "MeshGateway",
    "MeshHTTPRoute",
    "MeshMultiZoneService",
)
_MARKS = tuple(f'"kind":"{kind}"' for kind in _REFERRED)
_ONE, _MANY = "targetRef", "backendRefs"
# Legacy kind -> the Mesh's object that lists the backends its conf.backend names.
_BACKENDS = {"TrafficLog": "logging", "TrafficTrace": "tracing"}

Known = dict[tuple[str, str, str], "MeshResource"]  # by kind, mesh, name


def references(resources: Sequence[MeshResource]) -> Iterator[Hint]:
    known = _known(resources)
    for resource in resources:
        if any(mark in resource.body for mark in _MARKS):
            for path, ref in _refs((), spec_of(resource)):
                yield from _checked(resource, path, ref, known)
        elif resource.key.type in _BACKENDS:
            yield from _backend(resource, known)


def _known(resources: Sequence[MeshResource]) -> Known:
    found: Known = {}
    for resource in resources:
        type_, mesh = resource.key.type, resource.key.mesh
        if type_ in _REFERRED or type_ == "Mesh":
            for name in (resource.key.name, resource.display_name):
                found.setdefault((type_, mesh, name), resource)
    return found


def _refs(path: Path, value: object) -> Iterator[tuple[Path, Fields]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _refs((*path, index), item)
        return
    for name, inner in fields(value).items():
        if name == _ONE and isinstance(inner, dict):
            yield (*path, name), inner
        elif name == _MANY:
            yield from (((*path, *at), ref) for at, ref in items({_MANY: inner}, _MANY))
        elif isinstance(inner, dict | list):
            yield from _refs((*path, name), inner)


def _checked(resource: MeshResource, path: Path, ref: Fields, known: Known) -> Iterator[Hint]:
    kind, name = ref.get("kind"), ref.get("name")
    if kind not in _REFERRED or not isinstance(name, str) or not name or ref.get("namespace"):
        return
    mesh = resource.key.mesh
    found = known.get((str(kind), mesh, name))
    if found is None:
        what = f'there is no {kind} "{name}" in mesh {mesh}'
        if path == ("targetRef",):
            what += ", so that this policy selects nothing"
        cure = "correct the name, or add it to the repository"
        yield Hint(resource.key, (*path, "name"), "REF001", what, cure)
    elif kind == "MeshMultiZoneService":
        yield from _port(resource, path, ref, found)


def _port(resource: MeshResource, path: Path, ref: Fields, found: MeshResource) -> Iterator[Hint]:
    """Of one that names a port."""
    ports = [port for _, port in items(spec_of(found), "ports")]
    held = {str(port.get(name)) for port in ports for name in ("name", "port") if port.get(name)}
    for field in ("sectionName", "port"):
        wanted = ref.get(field)
        if wanted and str(wanted) not in held:
            what = f'{found.key} has no port "{wanted}"'
            cure = f"write one of {', '.join(sorted(held))}"
            yield Hint(resource.key, (*path, field), "REF002", what, cure)


def _backend(resource: MeshResource, known: Known) -> Iterator[Hint]:
    conf = fields(spec_of(resource).get("conf"))
    name, part = conf.get("backend"), _BACKENDS[resource.key.type]
    mesh = known.get(("Mesh", "", resource.key.mesh))
    if not isinstance(name, str) or not name or mesh is None:
        return
    listed = items(fields(spec_of(mesh).get(part)), "backends")
    if name not in {backend.get("name") for _, backend in listed}:
        what = f'{part} of mesh {resource.key.mesh} has no backend "{name}"'
        cure = "correct the name, or add the backend to the Mesh"
        yield Hint(resource.key, ("conf", "backend"), "REF001", what, cure)
