"""Limits and delays of a zone's decisions: values that its operator, or a test, chooses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.ca.tokens import Verdict
from reconciler.kds.sizes import OURS_MAX
from reconciler.model.resource import MeshResource
from reconciler.state import MeshState
from reconciler.status.announcement import NO_STATUS, ZoneStatus
from reconciler.vips.allocation import Pools
from reconciler.vips.entries import Naming

if TYPE_CHECKING:
    from xds.discovery import Node
    from xds.translate import Builders

Verify = Callable[[MeshState, MeshResource, str, float], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneSettings:
    """Limits and delays of the zone's decisions. `verify` checks a proxy's token; `builders` hold
    the memos.
    """

    zone: str
    instance: str
    version: str = ""  # of this program
    node: Node  # how this zone introduces itself to the global
    accepts_cluster: str = ""  # a global of this cluster id may take the zone over
    verify: Verify
    builders: Builders
    deregister_after_s: float = 10.0
    mass_loss_window_s: float = 5.0
    mass_loss_share: float = 0.2
    mass_loss_min: int = 5  # below this many losses a share says nothing
    reconnect_grace_s: float = 60.0
    # After a loss of the store, for proxies to come back: Envoy's longest wait between two tries.
    reconnect_gather_s: float = 30.0
    relayed_gather_s: float = 120.0  # for the global, which may be gathering itself
    report_interval_s: float = 0.1
    insight_interval_s: float = 10.0
    status: ZoneStatus = NO_STATUS  # what it announces first
    announce_interval_s: float = 1.0
    retire_after_s: float = 30.0  # drain time of connections on replaced listeners
    health_interval_s: float = 0.5  # proxies with probes report this often, while they are few
    health_wait_s: float = 30.0  # an HDS stream may be this far ahead of its proxy's ADS stream
    services_interval_s: float = 1.0  # from one round of what is counted of services to the next
    services_grace_s: float = 3600.0  # a MeshService stays so long after its last proxy
    services_max: int = 10_000  # MeshServices of this zone
    proxies_max: int = 5000
    message_max: int = OURS_MAX  # bytes, to a global of this program
    token_age_max_s: float = math.inf  # tokens issued longer ago let nobody in
    token_renewal_s: float = 0.0  # a proxy is asked for a newer one so long before; 0: never
    build_batch: int = 2
    vip_pools: Pools = field(default_factory=Pools)
    naming: Naming = field(default_factory=Naming)
    outlier_detection: bool = True  # proxies find out who cannot be reached, without a policy
    admin_access: bool = False  # certificates for admin listeners can be had
