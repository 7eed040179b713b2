"""All that the API answers to GET. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.rest import (
    computed_config,
    gateway_view,
    hostnames,
    insights,
    inspect_dataplanes,
    inspect_old,
    inspect_policies,
    inspect_rules,
    layout,
    metadata,
    overview,
    reading,
)

if TYPE_CHECKING:
    from reconciler.rest.answer import Endpoint


def _weight(endpoint: Endpoint) -> tuple[int, ...]:
    """Literal segments first: of `dataplanes/_overview` and `dataplanes/{name}` the first."""
    return tuple(segment.startswith("{") for segment in endpoint.path.split("/"))


ENDPOINTS: tuple[Endpoint, ...] = tuple(
    sorted(
        (
            *hostnames.ENDPOINTS,
            *insights.ENDPOINTS,
            *metadata.ENDPOINTS,
            *overview.ENDPOINTS,
            *reading.ENDPOINTS,
            *inspect_old.ENDPOINTS,
            *inspect_dataplanes.ENDPOINTS,
            *inspect_rules.ENDPOINTS,
            *inspect_policies.ENDPOINTS,
            *gateway_view.ENDPOINTS,
            *layout.ENDPOINTS,
            *computed_config.ENDPOINTS,
        ),
        key=_weight,
    )
)
