"""How a policy kind reaches the proxies: from matched items to what `xds` applies.

Beside `policy.py` because decoding and checking must work without Envoy's message types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from reconciler.locality import LocalityConf
    from reconciler.match import Selection
    from reconciler.rules import Conf
    from xds.hooks import Hooks
    from xds.view import Protocol


@dataclass(frozen=True, slots=True)
class InboundPlace:
    """Where an inbound's conf is applied. One that ends in an HTTP connection manager has no name
    here: there it changes nothing, and many inbounds share one value.
    """

    listener: str  # xDS name
    http: bool  # ends in an HTTP connection manager
    mtls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One policy kind's way into a view. None for a direction: no effect there.

    `inbound_conf(selections, inbound, mesh)`: what the policies that select an inbound say
    together; cached for all inbounds that the same policies select. `on_inbound` fits it to one
    inbound, and gets None where no policy speaks. `on_outbound(conf, protocol)`: towards a
    destination of this protocol. None of either: no effect there. `locality(conf)`: where its
    endpoints stand; one kind has it.
    """

    kind: str
    hooks: Hooks
    inbound_conf: Callable[[tuple[Selection, ...], int, str], Conf | None] | None = None
    on_inbound: Callable[[Any, InboundPlace], Hashable | None] | None = None
    on_outbound: Callable[[Any, Protocol], Hashable | None] | None = None
    locality: Callable[[Any], LocalityConf] | None = None
