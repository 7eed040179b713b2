"""What a proxy is told that came to the global: where it belongs. Pure.

The token is not verified here: it opens nothing, it only helps to name the zone.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from reconciler.model.kinds import PROXY_TYPES
from reconciler.model.resource import ResourceKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.state import MeshState

ZONES_MAX = 10  # named in one text


def words_for_proxy(repository: str, zones: Mapping[str, MeshState], zone: str) -> str:
    """`zones` are what each is known to own, `zone` is that of the proxy, "" when nobody knows."""
    if zone:
        where = f'This proxy belongs to zone "{zone}"'
    elif zones:
        names = sorted(zones)
        more = f" and {len(names) - ZONES_MAX} more" if len(names) > ZONES_MAX else ""
        where = f"It knows these zones: {', '.join(names[:ZONES_MAX])}{more}"
    else:
        where = "It knows no zone yet"
    return (
        f"this is the global control plane ({repository}); it serves zones only. {where}. "
        "A proxy connects to the control plane of its own zone: set --zone-address (--cp-address "
        "of kuma-dp) to https://HOST:5678, where HOST is what that zone was started with as "
        "--host or --tls-host"
    )


def zone_by_token(token: str | None, zones: Mapping[str, MeshState]) -> str:
    """The zone that a zone proxy's token names, if there is one of that name."""
    parts = (token or "").removeprefix("Bearer ").split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        zone = claims["Zone"]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return ""
    return zone if isinstance(zone, str) and zone in zones else ""


def zone_by_name(request: Mapping[str, object], zones: Mapping[str, MeshState]) -> str:
    """The zone that has a proxy of the name in this bootstrap request."""
    type_ = PROXY_TYPES.get(str(request.get("proxyType") or "dataplane"), "Dataplane")
    mesh = str(request.get("mesh") or "") if type_ == "Dataplane" else ""
    key = ResourceKey(type_, mesh, str(request.get("name") or ""))
    having = [name for name, owned in zones.items() if owned.get(key) is not None]
    return having[0] if len(having) == 1 else ""
