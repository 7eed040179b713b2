"""Listeners, one builder an input, as Kuma 2.14 shapes them. Each may read only its argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from envoy_data_plane.envoy.config.core.v3 import (
    TrafficDirection,
)
from envoy_data_plane.envoy.config.listener.v3 import (
    FilterChain,
    Listener,
)
from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy.v3 import (
    TcpProxy,
)

from xds.build.admin import AdminShape, admin_bytes, admin_shape
from xds.build.chains import (
    TCP_PROXY,
    address_of,
    filter_of,
)
from xds.build.inbound import inbound_listener, inbound_shape
from xds.build.ingress import sni_listener
from xds.build.outbound import outbound_listener, outbound_shape
from xds.build.shape import assembled
from xds.message import Form, encode, new
from xds.names import stat_prefix
from xds.resource import LISTENER, XdsResource
from xds.view import (
    AdminListener,
    InboundListener,
    ListenerInput,
    OutboundListener,
    PassthroughListener,
    SniListener,
)
from xds.wire import resource

if TYPE_CHECKING:
    from collections.abc import Callable


def build_listener(
    argument: ListenerInput,
    inbound: Callable[[InboundListener], Form] = inbound_shape,
    outbound: Callable[[OutboundListener], Form] = outbound_shape,
    admin: Callable[[AdminListener], AdminShape] = admin_shape,
) -> XdsResource:
    """The functions may remember what listeners of their kind have in common."""
    match argument:
        case InboundListener():
            body = assembled(argument, inbound, inbound_listener)
        case OutboundListener():
            body = assembled(argument, outbound, outbound_listener)
        case SniListener():
            body = encode(sni_listener(argument))
        case PassthroughListener():
            body = encode(_passthrough(argument))
        case AdminListener():
            body = admin_bytes(argument, admin)
        case _:
            assert_never(argument)
    return resource(LISTENER, argument.name, body)


def _passthrough(argument: PassthroughListener) -> Listener:
    proxy = new(TcpProxy, stat_prefix=stat_prefix(argument.cluster), cluster=argument.cluster)
    return new(
        Listener,
        name=argument.name,
        address=address_of(argument.address, argument.port),
        traffic_direction=TrafficDirection.OUTBOUND,
        use_original_dst=True,
        filter_chains=[new(FilterChain, filters=[filter_of(TCP_PROXY, proxy)])],
    )
