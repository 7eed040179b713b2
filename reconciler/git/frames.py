"""Messages between this process and the Git child: a length (4 bytes, big endian), then JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping

LENGTH_BYTES = 4
FRAME_BYTES_MAX = 16 * 1024 * 1024


def encode_frame(message: Mapping[str, object]) -> bytes:
    body = json.dumps(message).encode()
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def frame_length(head: bytes) -> int:
    """Length of the body that follows. Raises ValueError beyond the limit."""
    length = int.from_bytes(head, "big")
    if length > FRAME_BYTES_MAX:
        raise ValueError(f"a message of {length} bytes is over the limit of {FRAME_BYTES_MAX}")
    return length


def read_frame(stream: BinaryIO) -> dict[str, object] | None:
    """The next message, None at the end of the stream."""
    head = stream.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    message = json.loads(stream.read(frame_length(head)))
    assert isinstance(message, dict)
    return message
