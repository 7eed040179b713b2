"""Listeners, one builder an input, as Kuma 2.14 shapes them. Each may read only its argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from xds.build.admin import AdminShape, admin_bytes, admin_shape
from xds.build.capture import direct_listener, passthrough_listener
from xds.build.dns import dns_listener
from xds.build.inbound import inbound_listener, inbound_shape
from xds.build.ingress import sni_listener
from xds.build.local import dynamic_config_listener, probe_listener
from xds.build.outbound import outbound_listener, outbound_shape
from xds.build.shape import assembled
from xds.message import Form, encode
from xds.resource import LISTENER, XdsResource
from xds.view import (
    AdminListener,
    DirectListener,
    DnsListener,
    DynamicConfigListener,
    InboundListener,
    ListenerInput,
    OutboundListener,
    PassthroughListener,
    ProbeListener,
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
            body = encode(passthrough_listener(argument))
        case DirectListener():
            body = encode(direct_listener(argument))
        case DnsListener():
            body = encode(dns_listener(argument))
        case DynamicConfigListener():
            body = encode(dynamic_config_listener(argument))
        case ProbeListener():
            body = encode(probe_listener(argument))
        case AdminListener():
            body = admin_bytes(argument, admin)
        case _:
            assert_never(argument)
    return resource(LISTENER, argument.name, body)
