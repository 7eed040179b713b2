"""`reconciler.yaml`: the policy repository's own settings, decoded from data its schema has passed.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from reconciler.limits import DEFAULT, Limits, narrowed, too_high

if TYPE_CHECKING:
    from collections.abc import Iterator

Network = IPv4Network | IPv6Network
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Tokenless:
    """A zone that cannot send a token, let in by its name from these addresses only."""

    zone: str
    network: Network


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    strict: bool = False
    zone_policies: frozenset[tuple[str, str]] = frozenset()  # (zone, type) that others may get
    tokenless: tuple[Tokenless, ...] = ()
    limits: Limits = DEFAULT


def decode_settings(data: Mapping[str, Any], maximum: Limits = DEFAULT) -> RepositorySettings:
    """What the schema refused is left out."""
    kds = data.get("kds")
    return RepositorySettings(
        strict=data.get("strict") is True,
        zone_policies=frozenset(
            (str(entry.get("zone")), str(type_))
            for entry in _entries(data.get("allowZonePolicies"))
            for type_ in _items(entry.get("types"))
        ),
        tokenless=tuple(
            Tokenless(str(entry.get("zone")), network)
            for entry in _entries(kds.get("tokenless") if isinstance(kds, Mapping) else None)
            if (network := _network(entry.get("from"))) is not None
        ),
        limits=narrowed(maximum, data.get("limits")),
    )


def settings_faults(
    data: Mapping[str, Any], maximum: Limits = DEFAULT
) -> Iterator[tuple[Path, str, str]]:
    """What a schema cannot say: (place, code, text)."""
    for key, text in too_high(maximum, data.get("limits")):
        yield ("limits", key), "SET002", text
    kds = data.get("kds")
    entries = _items(kds.get("tokenless")) if isinstance(kds, Mapping) else []
    for index, entry in enumerate(entries):
        value = entry.get("from") if isinstance(entry, Mapping) else None
        if isinstance(value, str) and _network(value) is None:
            text = f'"{value}" is no network; write one like 10.1.0.0/16 or 2001:db8::/32'
            yield ("kds", "tokenless", index, "from"), "SET001", text


def _network(value: object) -> Network | None:
    """An address is a network of its own."""
    try:
        return ip_network(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _entries(value: object) -> list[Mapping[str, Any]]:
    return [entry for entry in _items(value) if isinstance(entry, Mapping)]
