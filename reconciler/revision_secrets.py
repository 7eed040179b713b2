"""What the values of secrets mean for a commit: resources for the zones, and problems at the places
that need what is missing or wrong. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.ca.keys import secret_data
from reconciler.ca.provided import certificate_faults, key_faults
from reconciler.decode import mesh_resource
from reconciler.mesh_ca import authority, ca_changes
from reconciler.model.resource import Labels
from reconciler.model.spec import MeshSpec
from reconciler.problems import Position, Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.load import Loaded
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.model.spec import CaBackend
    from reconciler.secret_references import SecretReference
    from reconciler.state import MeshState


CA_EXCHANGED = "MSH013"


def secret_resources(values: Mapping[SecretReference, bytes]) -> tuple[MeshResource, ...]:
    return tuple(
        mesh_resource(reference.key, Labels(), secret_data(value))
        for reference, value in values.items()
    )


def value_problems(
    loaded: Loaded,
    missing: Mapping[SecretReference, str],
    gone: Mapping[SecretReference, str],
) -> Iterator[Problem]:
    """A missing value is told by whoever needs it, or else where it is listed. One that was there
    is a warning: its last value stays in force.
    """
    for reference, why in missing.items():
        for at in _places(loaded, reference):
            yield Problem(at, "SEC006", f"{reference} has no value: {why}")
    for reference, why in gone.items():
        text = f"the last value of {reference} stays in force: {why}"
        yield Problem(reference.at, "SEC007", text, Severity.WARNING)


def _places(loaded: Loaded, reference: SecretReference) -> list[Position]:
    return [need.at for need in loaded.needs if need.secret == reference.key] or [reference.at]


def ca_problems(loaded: Loaded, before: MeshState, after: MeshState) -> Iterator[Problem]:
    """Provided CAs that Kuma would not take, and changes of a CA that would break traffic."""
    for mesh in after.of("Mesh"):
        spec = mesh.spec
        if not isinstance(spec, MeshSpec) or _skips(mesh):
            continue
        for index, backend in enumerate(spec.backends):
            if backend.type == "provided":
                path = ("mtls", "backends", index, "conf")
                yield from _provided(loaded, mesh.key, after, backend, path)
    for change in ca_changes(before, after):
        if change.fault:
            at = _place(loaded, change.mesh)
            yield Problem(at, CA_EXCHANGED, f'mesh "{change.mesh}": {change.fault}')


def late_warnings(loaded: Loaded, meshes: Iterable[str], zones: Iterable[str]) -> list[Problem]:
    where = ", ".join(zones)
    text = f"the CA changes although zones still lack the commit before: {where}"
    return [Problem(_place(loaded, mesh), "MSH014", text, Severity.WARNING) for mesh in meshes]


def _place(loaded: Loaded, mesh: str) -> Position:
    found = (at for key, at in loaded.provenance.items() if (key.type, key.name) == ("Mesh", mesh))
    return next(found, Position("."))


def _skips(mesh: MeshResource) -> bool:
    return '"skipValidation":true' in mesh.body


def _provided(
    loaded: Loaded,
    mesh: ResourceKey,
    state: MeshState,
    backend: CaBackend,
    path: tuple[str | int, ...],
) -> Iterator[Problem]:
    found = authority(state, mesh.name, backend)
    if found.missing:
        return  # Said already.
    needs = {need.path: need.at for need in loaded.needs if need.by == mesh}
    faults = {
        "cert": certificate_faults(found.cert_pem),
        "key": key_faults(found.cert_pem, found.key_pem),
    }
    for part, told in faults.items():
        at = needs.get((*path, part), loaded.provenance.get(mesh, Position(".")))
        for fault in told:
            yield Problem(at, "MSH012", f'backend "{backend.name}": {fault}')
