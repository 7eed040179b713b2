"""What a control plane and an Envoy say to each other over HDS, as values
(envoy.service.health.v3, facts/dataplane-wire.md 1.11).

The Envoy introduces itself, is told what to check, and from then on reports once an interval.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Check:
    """One cluster with one endpoint: `address` and `port`, or the unix socket `pipe`.

    With `path` the check is an HTTP request, without it a TCP connection. `source` is the address
    to connect from; "" leaves it to the system.
    """

    cluster: str
    address: str = ""
    port: int = 0
    pipe: str = ""
    path: str = ""
    source: str = ""
    timeout_s: float = 2.0
    interval_s: float = 1.0
    unhealthy_threshold: int = 1
    healthy_threshold: int = 1


@dataclass(frozen=True, slots=True)
class Specifier:
    """`interval_s`: how often the Envoy reports, whether or not something changed."""

    checks: tuple[Check, ...]
    interval_s: float


@dataclass(frozen=True, slots=True)
class Introduction:
    """The first message of a stream."""

    node_id: str


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Whether all endpoints of a cluster are healthy, by cluster."""

    healthy: Mapping[str, bool] = field(default_factory=dict)
