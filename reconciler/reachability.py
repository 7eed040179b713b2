"""Where other zones are entered, and whether anybody answers there, as a zone's control plane finds
out by asking. Pure.

An ingress is silent once it has answered before and then did not, `FAILED` times in a row; one
answer ends it. One that has never answered is not silent: proxies may be allowed where their
control plane is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconciler.instances import resolver
from reconciler.model.resource import ZONE
from reconciler.model.spec import ZoneAddressSpec, ZoneIngressSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.instances import Place, Target
    from reconciler.model.resource import MeshResource

FAILED = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """`since`: when a silent one did not answer first, in seconds since the epoch."""

    answered: bool = False  # ever
    failed: int = 0  # times in a row
    failing: float = 0.0  # since when

    @property
    def since(self) -> float | None:
        return self.failing if self.answered and self.failed >= FAILED else None


NEVER = Asked()


def after(known: Asked, answered: bool, now: float) -> Asked:
    if answered:
        return Asked(answered=True)
    failing = known.failing if known.failed else now
    return replace(known, failed=known.failed + 1, failing=failing)


def advertised(
    ingresses: Iterable[MeshResource], place: Place
) -> Iterator[tuple[Target, ZoneIngressSpec]]:
    """The ingresses of other zones, each where it says it is; one with a name once that has an
    address.
    """
    resolve = resolver(place.resolved)
    for ingress in ingresses:
        spec = ingress.spec
        assert isinstance(spec, ZoneIngressSpec)
        if is_remote(spec, place.zone):
            address = resolve(spec.advertised_address)
            if address is not None:
                yield (address, spec.advertised_port), spec


def is_remote(spec: ZoneIngressSpec, zone: str) -> bool:
    reachable = bool(spec.advertised_address and spec.advertised_port)
    return reachable and spec.zone not in ("", zone)


def addressed(addresses: Iterable[MeshResource], place: Place) -> Iterator[tuple[Target, str]]:
    """The MeshZoneAddresses of other zones, each with its zone."""
    resolve = resolver(place.resolved)
    for resource in addresses:
        spec, zone = resource.spec, resource.labels.get(ZONE) or ""
        assert isinstance(spec, ZoneAddressSpec)
        if spec.port and zone not in ("", place.zone):
            address = resolve(spec.address)
            if address is not None:
                yield (address, spec.port), zone
