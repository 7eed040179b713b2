"""All that the API answers to GET. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.rest import insights, metadata, overview, reading

if TYPE_CHECKING:
    from reconciler.rest.answer import Endpoint


def _weight(endpoint: Endpoint) -> tuple[int, ...]:
    """Literal segments first: of `dataplanes/_overview` and `dataplanes/{name}` the first."""
    return tuple(segment.startswith("{") for segment in endpoint.path.split("/"))


ENDPOINTS: tuple[Endpoint, ...] = tuple(
    sorted(
        (
            *insights.ENDPOINTS,
            *metadata.ENDPOINTS,
            *overview.ENDPOINTS,
            *reading.ENDPOINTS,
        ),
        key=_weight,
    )
)
