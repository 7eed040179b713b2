"""How large a message is before it is made: one over the peer's limit would end the stream, and the
next stream as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.discovery import DeltaResponse
    from xds.resource import XdsResource

MIB = 1024 * 1024
OURS_MAX = 64 * MIB  # bytes of a message between control planes of this program
KUMA_MAX = 10 * MIB  # towards a real Kuma
ENVELOPE = 256  # bytes of a response beside its resources
ENTRY_FRAME = 6  # tag and length of an entry


def size_of(resources: Iterable[XdsResource]) -> int:
    """Bytes of the response that carries all of them, but for the envelope."""
    return sum(len(r.entry) + ENTRY_FRAME for r in resources)


def response_size(response: DeltaResponse) -> int:
    removed = sum(len(name.encode()) + ENTRY_FRAME for name in response.removed)
    return size_of(response.resources) + removed + ENVELOPE
