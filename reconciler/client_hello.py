"""What a TLS client offers to speak, read from its first message without answering it. Pure.

RFC 8446 4.1.2 (ClientHello), RFC 7301 (ALPN). Sizes are limited: who sends this has shown nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

RECORD_HEAD = 5  # type, version, length
RECORD_MAX = 16_384  # bytes of one record's content
RECORDS_MAX = 16  # over which one hello may be spread
HELLO_MAX = 16_384  # bytes; usual ones have 200 to 2,000
HANDSHAKE, CLIENT_HELLO, ALPN = 22, 1, 16


class NotAHello(Exception):
    """Bytes that begin no ClientHello, or one beyond the limits."""


@dataclass(frozen=True, slots=True)
class More:
    """Not decided before `needed` bytes are here, counted from the first."""

    needed: int


def protocols_of(data: bytes | bytearray) -> tuple[bytes, ...] | More:
    """The protocols of the ALPN extension in the client's order, () without one.

    Raises NotAHello, as early as the bytes show it.
    """
    message = bytearray()
    at = 0
    for _ in range(RECORDS_MAX):
        if data[at : at + 1] not in (b"", b"\x16"):
            raise NotAHello("no TLS handshake record")
        if len(data) < at + RECORD_HEAD:
            return More(at + RECORD_HEAD)
        length = int.from_bytes(data[at + 3 : at + RECORD_HEAD])
        if data[at + 1] != 3 or not 0 < length <= RECORD_MAX:
            raise NotAHello("a record that TLS does not know")
        end = at + RECORD_HEAD + length
        message += data[at + RECORD_HEAD : end]
        if message and message[0] != CLIENT_HELLO:
            raise NotAHello("a handshake that begins with something else")
        wanted = 4 + int.from_bytes(message[1:4]) if len(message) >= 4 else HELLO_MAX
        if wanted > HELLO_MAX:
            raise NotAHello(f"a ClientHello of over {HELLO_MAX} bytes")
        if len(message) >= wanted:
            return _alpn(_Reader(bytes(message[4:wanted])))
        if len(data) < end:
            return More(end)
        at = end
    raise NotAHello(f"a ClientHello in more than {RECORDS_MAX} records")


class _Reader:
    """Takes bytes from the front; NotAHello when there are too few."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if len(found) < count:
            raise NotAHello("a field that reaches beyond its message")
        self._at += count
        return found

    def sized(self, width: int) -> _Reader:
        """A vector behind its length of `width` bytes."""
        return _Reader(self.take(int.from_bytes(self.take(width))))

    @property
    def empty(self) -> bool:
        return self._at == len(self._data)


def _alpn(hello: _Reader) -> tuple[bytes, ...]:
    hello.take(2 + 32)  # version and random
    hello.sized(1)  # session id
    hello.sized(2)  # cipher suites
    hello.sized(1)  # compression methods
    if hello.empty:
        return ()
    extensions = hello.sized(2)
    while not extensions.empty:
        kind = int.from_bytes(extensions.take(2))
        body = extensions.sized(2)
        if kind == ALPN:
            return tuple(_names(body.sized(2)))
    return ()


def _names(listed: _Reader) -> list[bytes]:
    found = []
    while not listed.empty:
        name = listed.sized(1)
        found.append(name.take(len(name._data)))
    return found
