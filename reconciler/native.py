"""Envoy's own resources that stand as text in a policy. Pure.

envoy-data-plane takes seconds to load, so only a document with such a text loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.source.embedded import NotYaml, embedded

if TYPE_CHECKING:
    from reconciler.part import Faults, Part
    from reconciler.problems import Problem

CLUSTER = "envoy.config.cluster.v3.Cluster"
LISTENER = "envoy.config.listener.v3.Listener"
NETWORK_FILTER = "envoy.config.listener.v3.Filter"
HTTP_FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
VIRTUAL_HOST = "envoy.config.route.v3.VirtualHost"


def native_resource(part: Part, type_name: str) -> Faults:
    """A text that is a whole resource of the type: an absent one has none of its fields."""
    yield from _native(part, type_name, whole=True)


def native_patch(part: Part, type_name: str) -> Faults:
    """A text that is merged into resources of the type: any of its fields may be absent."""
    yield from _native(part, type_name, whole=False)


def native_any(part: Part) -> Faults:
    """A text that is a whole resource and names its type in `@type`."""
    from xds.native import native_any_fault

    try:
        fault = native_any_fault(embedded(part.text))
    except NotYaml as error:
        fault = str(error)
    if fault is not None:
        yield _refused(part, fault)


def _native(part: Part, type_name: str, *, whole: bool) -> Faults:
    from xds.native import native_fault

    try:
        fault = native_fault(type_name, embedded(part.text), whole=whole)
    except NotYaml as error:
        fault = str(error)
    if fault is not None:
        yield _refused(part, fault)


def _refused(part: Part, fault: str) -> Problem:
    return part.fault(
        "ENV001", f"no valid resource of Envoy: {fault}" + ("" if ";" in fault else "; correct it")
    )
