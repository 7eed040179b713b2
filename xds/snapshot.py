"""All xDS resources of one proxy at one moment, by type: what the delta senders diff against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET, XdsResource, digest

Resources = Mapping[str, XdsResource]  # name -> resource

NO_RESOURCES: Resources = {}


@dataclass(frozen=True, slots=True)
class Step:
    """How one mapping came from another: who was sent `before` lacks `put` and `removed`."""

    before: Resources
    after: Resources
    put: Resources
    removed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Immutable by agreement: the mappings never change once here; proxies share them."""

    clusters: Resources
    endpoints: Resources
    secrets: Resources
    listeners: Resources

    def of(self, type_url: str) -> Resources:
        """Resources of one type; a type this control plane does not serve is empty."""
        match type_url:
            case _ if type_url == CLUSTER:
                return self.clusters
            case _ if type_url == ENDPOINT:
                return self.endpoints
            case _ if type_url == SECRET:
                return self.secrets
            case _ if type_url == LISTENER:
                return self.listeners
            case _:
                return NO_RESOURCES


EMPTY = Snapshot(NO_RESOURCES, NO_RESOURCES, NO_RESOURCES, NO_RESOURCES)


def versions_digest(resources: Resources) -> str:
    """One string for a name -> version map; costs a hash over all of it, so memoise it by the
    mapping.
    """
    return digest(
        part.encode() for name in sorted(resources) for part in (name, resources[name].version)
    )
