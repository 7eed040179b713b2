"""Listeners of many proxies that differ in name and address only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from envoy_data_plane.envoy.config.listener.v3 import Listener

from xds.build.endpoints import socket_address
from xds.message import Form, encode, form, framer
from xds.view import InboundListener, OutboundListener

if TYPE_CHECKING:
    from collections.abc import Callable

Argument = TypeVar("Argument", InboundListener, OutboundListener)

_name_field = framer(Listener, "name")
_address_field = framer(Listener, "address")


def shape_of(listener: Listener) -> Form:
    """Made of an argument without name and address."""
    return form(listener, "name", "address")


def assembled(
    argument: Argument,
    shape: Callable[[Argument], Form],
    listener: Callable[[Argument], Listener],
) -> bytes:
    """The encoded listener.

    Inbounds of a service's instances, and outbounds to a service, have all but name and address in
    common: that is built once, by a `shape` that remembers it. A policy with a hook for the whole
    listener may read these too; then nothing is shared.
    """
    if any(each.hooks.on_listener is not None for each in argument.applied):
        return encode(listener(argument))
    common = shape(replace(argument, name="", address="", port=0))
    return common.filled(
        _name_field(argument.name.encode()),
        _address_field(socket_address(argument.address, argument.port)),
    )
