"""Names that nobody gets, because another has them or because none is made. Pure.

Only what is surely so is told: of what zones make, such as MeshServices and the instances that a
VirtualOutbound names one by one, a repository knows nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.defaults import with_defaults
from reconciler.hints.hint import Hint
from reconciler.model.resource import DISPLAY_NAME, ORIGIN, SERVICE, ResourceKey
from reconciler.model.spec import (
    ExternalServiceSpec,
    MeshExternalServiceSpec,
    MultiZoneSpec,
    VirtualOutboundSpec,
)
from reconciler.vips.entries import KINDS
from reconciler.vips.hostnames import GENERATED, TEMPLATE_ERROR, Hostnames, generators
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from reconciler.model.resource import MeshResource

_SOME_ZONE = "zone"  # for what is asked of a zone; the same for all
_CURE = "choose another name, or remove one of the two"


def names(resources: Sequence[MeshResource]) -> Iterator[Hint]:
    yield from _hosts(resources)
    yield from _virtual(resources)
    yield from _generated(resources)


def _hosts(resources: Sequence[MeshResource]) -> Iterator[Hint]:
    """Of ExternalServices: the first by name has the host and port."""
    held: dict[Hashable, MeshResource] = {}
    field = ("networking", "address")
    for resource in sorted(resources, key=lambda each: each.key):
        spec = resource.spec
        if not isinstance(spec, ExternalServiceSpec) or not (spec.host and spec.named):
            continue
        first = held.setdefault((resource.key.mesh, spec.host, spec.port), resource)
        assert isinstance(first.spec, ExternalServiceSpec)
        service, other = dict(spec.tags)[SERVICE], dict(first.spec.tags)[SERVICE]
        if service != other:
            what = (
                f"calls of {spec.host}:{spec.port} go to the service {other}, and not to "
                f"{service}: {first.key} has the name"
            )
            cure = "set networking.disableHostDNSEntry in one of the two"
            yield Hint(resource.key, field, "CFL003", what, cure, (first.key, field))


def _virtual(resources: Sequence[MeshResource]) -> Iterator[Hint]:
    """Of VirtualOutbounds that select alike and name alike."""
    held: dict[Hashable, MeshResource] = {}
    field = ("conf", "host")
    for resource in sorted(resources, key=lambda each: each.key):
        spec = resource.spec
        if isinstance(spec, VirtualOutboundSpec):
            used = frozenset(spec.parameters)
            same = (resource.key.mesh, frozenset(spec.selectors), spec.host, spec.port, used)
            first = held.setdefault(same, resource)
            if first is not resource:
                what = f"makes nothing: {first.key} has the same names for the same services"
                yield Hint(resource.key, field, "CFL003", what, _CURE, (first.key, field))


def _generated(resources: Sequence[MeshResource]) -> Iterator[Hint]:
    """Of what the repository itself holds, as zones see it."""
    found = generators(with_defaults(resources))
    written = {resource.key.name: resource.key for resource in resources if _is_generator(resource)}
    for mesh in sorted({r.key.mesh for r in resources if _is_named(r)}):
        seen = [(None, _seen(r)) for r in resources if r.key.mesh == mesh and _is_named(r)]
        hostnames, entries = Hostnames(_SOME_ZONE).followed(found, seen)
        for entry in sorted(entries):
            key = ResourceKey(KINDS[entry.kind], mesh, entry.name)
            for each in hostnames.generated(entry):
                if each.reason == GENERATED:
                    continue
                what = f"has no host name ({each.message}) by HostnameGenerator {each.generator}"
                code = "REF004" if each.reason == TEMPLATE_ERROR else "CFL004"
                by = written.get(each.generator)
                template = None if by is None else (by, ("template",))
                cure = "correct the template, or what it asks for"
                yield Hint(key, (), code, what, cure, template)


def _is_generator(resource: MeshResource) -> bool:
    return resource.key.type == "HostnameGenerator"


def _is_named(resource: MeshResource) -> bool:
    return isinstance(resource.spec, MeshExternalServiceSpec | MultiZoneSpec)


def _seen(resource: MeshResource) -> MeshResource:
    """As it comes to a zone."""
    labels = {ORIGIN: "global", DISPLAY_NAME: resource.display_name}
    return replace(resource, labels=resource.labels.with_labels(labels))
