"""What a client offers to speak is read from its ClientHello, however it comes; garbage is told
early.
"""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.client_hello import HELLO_MAX, RECORDS_MAX, More, NotAHello, protocols_of


def hello(*protocols: str, host: str | None = "cp.example") -> bytes:
    """As a real client writes it."""
    context = ssl.create_default_context()
    context.check_hostname = host is not None
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def in_records(message: bytes, size: int) -> bytes:
    """The same handshake message over records of `size` bytes."""
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)


@pytest.mark.parametrize("protocols", [(), ("h2",), ("http/1.1",), ("h2", "http/1.1")])
def test_protocols_in_the_clients_order(protocols: tuple[str, ...]) -> None:
    assert protocols_of(hello(*protocols)) == tuple(p.encode() for p in protocols)


def test_a_hello_without_a_server_name() -> None:
    assert protocols_of(hello("h2", host=None)) == (b"h2",)


def test_every_beginning_of_a_hello_asks_for_more_than_it_has() -> None:
    whole = hello("h2")
    for end in range(len(whole)):
        found = protocols_of(whole[:end])
        assert isinstance(found, More)
        assert end < found.needed <= len(whole)


def test_a_hello_in_several_records_and_what_comes_behind_it() -> None:
    message = hello("h2")[5:]
    spread = in_records(message, len(message) // 3 + 1)
    assert protocols_of(spread) == (b"h2",)
    assert protocols_of(spread + b"early data") == (b"h2",)
    with pytest.raises(NotAHello, match=f"more than {RECORDS_MAX} records"):
        protocols_of(in_records(message, len(message) // (RECORDS_MAX + 2)))


def header(kind: int, length: int) -> bytes:
    return bytes((kind,)) + length.to_bytes(3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"POST /bootstrap", "no TLS handshake record"),
        (b"PRI * HTTP/2.0\r\n", "no TLS handshake record"),
        (b"\x16\x02\x00\x00\x04", "a record that TLS does not know"),
        (b"\x16\x03\x01\x00\x00", "a record that TLS does not know"),
        (b"\x16\x03\x01\x40\x01", "a record that TLS does not know"),
        (in_records(header(2, 40), 4), "begins with something else"),
        (in_records(header(1, HELLO_MAX), 4), f"over {HELLO_MAX} bytes"),
        (in_records(header(1, 0), 4), "reaches beyond its message"),
        (in_records(header(1, 40) + b"\xff" * 40, 44), "reaches beyond its message"),
    ],
)
def test_garbage_is_told_at_once(data: bytes, words: str) -> None:
    with pytest.raises(NotAHello, match=words):
        protocols_of(data)


@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 255))
def test_no_bytes_do_more_than_be_refused(data: bytes, at: int, value: int) -> None:
    whole = bytearray(HELLO)
    whole[at] = value
    for given_bytes in (data, b"\x16\x03\x01" + data, bytes(whole)):
        try:
            found = protocols_of(given_bytes)
        except NotAHello:
            continue
        assert isinstance(found, tuple | More)


HELLO = hello("h2", "http/1.1")
