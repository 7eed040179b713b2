"""What the listeners of many proxies have in common, encoded once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from envoy_data_plane.envoy.config.listener.v3 import Listener

from xds.build.endpoints import socket_address
from xds.message import encode, framer
from xds.view import InboundListener, OutboundListener

if TYPE_CHECKING:
    from collections.abc import Callable

Argument = TypeVar("Argument", InboundListener, OutboundListener)

_name_field = framer(Listener, "name")
_address_field = framer(Listener, "address")


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Shape:
    """All of an encoded listener but its name and address, its first two fields."""

    rest: bytes


def assembled(
    argument: Argument,
    shape: Callable[[Argument], Shape],
    listener: Callable[[Argument], Listener],
) -> bytes:
    """The encoded listener.

    Inbounds of a service's instances, and outbounds to a service, differ in name and address only:
    what they have in common is built once, by a `shape` that remembers it. A policy with a hook for
    the whole listener may read these too; then nothing is shared.
    """
    if any(each.hooks.on_listener is not None for each in argument.applied):
        return encode(listener(argument))
    address = _address_field(socket_address(argument.address, argument.port))
    common = shape(replace(argument, name="", address="", port=0))
    return _name_field(argument.name.encode()) + address + common.rest
