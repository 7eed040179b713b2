"""Envoy's own resources that stand as text in a policy. Pure.

envoy-data-plane takes seconds to load, so only a document with such a text loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.source.embedded import NotYaml, embedded

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.part import Faults, Part
    from reconciler.problems import Problem
    from xds.native import Judged

UNKNOWN_MAX = 5
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
    from xds.native import judged_any

    yield from _told(part, judged_any)


def _native(part: Part, type_name: str, *, whole: bool) -> Faults:
    from xds.native import judged

    yield from _told(part, lambda data: judged(type_name, data, whole=whole))


def _told(part: Part, judge: Callable[[object], Judged]) -> Faults:
    try:
        found = judge(embedded(part.text))
    except NotYaml as error:
        yield _refused(part, str(error))
        return
    if found.fault is not None:
        yield _refused(part, found.fault)
    elif found.unknown:
        names = ", ".join(found.unknown[:UNKNOWN_MAX])
        text = (
            f"Envoy's resource has no field {names}, and zones pass over it; correct or remove it"
        )
        yield part.warning("ENV002", text)


def _refused(part: Part, fault: str) -> Problem:
    cure = "" if ";" in fault else "; correct it"
    return part.fault("ENV001", f"no valid resource of Envoy: {fault}{cure}")
