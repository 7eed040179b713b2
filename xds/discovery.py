"""The discovery messages as values: what the state machines speak, in either variant.

`xds.wire` turns them into bytes and back. Fields follow
envoy.service.discovery.v3.DeltaDiscoveryRequest and DeltaDiscoveryResponse. KDS uses the same
messages with Kuma's type names in `type_url`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.resource import XdsResource


@dataclass(frozen=True, slots=True)
class Node:
    """core.v3.Node: id, cluster and metadata (a Struct as plain JSON data)."""

    id: str
    cluster: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """`error` is the message of error_detail; None when absent (presence decides, not the code).

    A request of the state-of-the-world variant has `wanted`, all names the peer wants by now, in
    place of what it subscribes and unsubscribes, and `version`, what it accepted last.
    """

    type_url: str
    node: Node | None = None
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None
    wanted: tuple[str, ...] | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class DeltaResponse:
    """`version` is that of the whole type, in state of the world; `removed` is then said by leaving
    out.
    """

    type_url: str
    nonce: str
    resources: tuple[XdsResource, ...] = ()
    removed: tuple[str, ...] = ()
    control_plane: str = ""  # ControlPlane.identifier
    version: str = ""


class RemoteProtocolError(Exception):
    """The peer's fault: bytes or a message that the protocol does not allow. Ends the stream it
    came on.
    """
