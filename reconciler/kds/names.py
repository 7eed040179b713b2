"""Names as KDS carries them: the hash suffix of Kuma 2.14 (facts/kds-wire.md 4.1, 4.2)."""

from __future__ import annotations

from reconciler.model.kinds import KINDS
from reconciler.model.resource import DISPLAY_NAME, NAMESPACE, ZONE, Labels
from xds.names import fnv1a_64

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LETTERS = str.maketrans({digit: _ALPHABET[ord(digit) % 27] for digit in "0123456789abcdef"})
_DISPLAY_MAX = 236  # bytes: 253 less the suffix


def hashed_name(mesh: str, display_name: str, labels: Labels) -> str:
    """`<display name>-<16 characters>`; zone and namespace labels take part when present."""
    digest = fnv1a_64((mesh + display_name + hashed_place(labels)).encode())
    suffix = f"{digest:016x}".translate(_LETTERS)
    cut = display_name.encode()[:_DISPLAY_MAX].decode(errors="ignore")
    return f"{cut}-{suffix}"


def hashed_place(labels: Labels) -> str:
    """Zone and namespace as the hash takes them: with nothing between, an empty one is as none."""
    return (labels.get(ZONE) or "") + (labels.get(NAMESPACE) or "")


def wire_name(type_: str, mesh: str, name: str, labels: Labels) -> str:
    """The name under which a resource travels; four types keep theirs."""
    kind = KINDS.get(type_)
    if kind is None or not kind.hashed:
        return name
    return hashed_name(mesh, labels.get(DISPLAY_NAME) or name, labels)


def resource_name(mesh: str, wire: str) -> str:
    """Name of the discovery resource: `<name>.<mesh>`, ending in a dot for global scope."""
    return f"{wire}.{mesh}"
