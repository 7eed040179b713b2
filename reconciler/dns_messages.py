"""Messages of DNS, as far as one has to be understood that stands between applications and name
servers (RFC 1035, 6891). Pure.

`name_relay` asks with them. All that is not one plain question is nobody's to read but the name
server's it is passed on to.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

A, OPT, AAAA, ANY = 1, 41, 28, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN = range(4)
RESPONSE, AUTHORITATIVE, TRUNCATED, RECURSION_DESIRED = 0x8000, 0x0400, 0x0200, 0x0100
RECURSION_AVAILABLE, RCODE, OPCODE = 0x0080, 0x000F, 0x7800
HEADER = struct.Struct("!6H")  # number, flags, questions, answers, authorities, additional
_TAIL = struct.Struct("!HH")  # of a question: type and class
_RECORD = struct.Struct("!HHIH")  # after a record's name: type, class, TTL, length
_TO_QUESTION = b"\xc0\x0c"  # a name: the one the question is about
_NAME = re.compile(rb"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
NAME_MAX = 253
UDP_SIZE = 1232  # bytes of an answer that we take; what resolvers agreed on
PORT = 53
SERVERS_MAX = 3  # of a resolv.conf, as in every libc


@dataclass(frozen=True, slots=True)
class Question:
    """`name` in lower case, without a dot at its end; `section` as it was asked."""

    name: str
    kind: int
    section: bytes
    flags: int
    extended: bool  # the asker knows EDNS


@dataclass(frozen=True, slots=True)
class Found:
    """What a server answered: a code, and the addresses (4 or 16 bytes) with their TTL."""

    rcode: int
    addresses: tuple[bytes, ...] = ()
    ttl_s: int = 0


def question_of(message: bytes) -> Question | None:
    """None where it is not one question, of the internet, about what may be a host's name."""
    try:
        _, flags, questions, answers, authorities, additional = HEADER.unpack_from(message)
        if flags & (RESPONSE | OPCODE) or (questions, answers, authorities) != (1, 0, 0):
            return None
        name, at = _name(message, HEADER.size)
        kind, internet = _TAIL.unpack_from(message, at)
    except (struct.error, IndexError):
        return None
    if internet != IN or not _NAME.fullmatch(name) or len(name) > NAME_MAX:
        return None
    end = at + _TAIL.size
    extended = additional == 1 and message[end : end + 3] == b"\x00" + OPT.to_bytes(2, "big")
    return Question(name.decode(), kind, message[HEADER.size : end], flags, extended)


def _name(message: bytes, at: int) -> tuple[bytes, int]:
    """In lower case, and where it ends. Raises IndexError where it does not, or points away."""
    labels: list[bytes] = []
    while size := message[at]:
        if size > 63:
            raise IndexError
        labels.append(message[at + 1 : at + 1 + size])
        at += 1 + size
    return b".".join(labels).lower(), at + 1


def question(number: int, name: str, kind: int) -> bytes:
    labels = b"".join(bytes((len(each),)) + each.encode() for each in name.split("."))
    head = HEADER.pack(number, RECURSION_DESIRED, 1, 0, 0, 0)
    return head + labels + b"\x00" + _TAIL.pack(kind, IN)


def found_in(message: bytes) -> Found:
    """Of an answer to `question`. Raises ValueError where it is none."""
    try:
        _, flags, questions, answers, _, _ = HEADER.unpack_from(message)
        at = HEADER.size
        for _ in range(questions):
            at = _after_name(message, at) + _TAIL.size
        addresses: list[bytes] = []
        least_s = 1 << 32
        for _ in range(answers):
            at = _after_name(message, at)
            kind, _, ttl_s, size = _RECORD.unpack_from(message, at)
            at += _RECORD.size + size
            if kind in (A, AAAA):
                addresses.append(message[at - size : at])
                least_s = min(least_s, ttl_s)
    except (struct.error, IndexError) as error:
        raise ValueError(f"{len(message)} bytes are no answer") from error
    return Found(flags & RCODE, tuple(addresses), least_s if addresses else 0)


def _after_name(message: bytes, at: int) -> int:
    while size := message[at]:
        if size > 63:
            return at + 2
        at += 1 + size
    return at + 1


def answer(asked: bytes, about: Question, addresses: Sequence[bytes], ttl_s: int) -> bytes:
    """To the message `asked`. Without addresses: there is the name, but nothing of that type."""
    records = [
        _TO_QUESTION + _RECORD.pack(A if len(each) == 4 else AAAA, IN, ttl_s, len(each)) + each
        for each in addresses
    ]
    flags = RESPONSE | AUTHORITATIVE | RECURSION_AVAILABLE | about.flags & RECURSION_DESIRED
    head = HEADER.pack(number_of(asked), flags, 1, len(records), 0, int(about.extended))
    return head + about.section + b"".join(records) + (_OPT if about.extended else b"")


_OPT = b"\x00" + _RECORD.pack(OPT, UDP_SIZE, 0, 0)


def failure(asked: bytes) -> bytes:
    """No server could say: whoever asked may ask again. Of a message of 12 bytes at least."""
    flags = HEADER.unpack_from(asked)[1] & (OPCODE | RECURSION_DESIRED)
    head = HEADER.pack(
        number_of(asked), RESPONSE | RECURSION_AVAILABLE | flags | SERVFAIL, *[0] * 4
    )
    about = question_of(asked)
    return head if about is None else head[:4] + b"\x00\x01" + head[6:] + about.section


def number_of(message: bytes) -> int:
    return int.from_bytes(message[:2], "big")


def numbered(message: bytes, number: int) -> bytes:
    return number.to_bytes(2, "big") + message[2:]


def answers(message: bytes, asked: bytes) -> bool:
    """Whether it is an answer to what was asked: of its number, and about the same."""
    if len(message) < HEADER.size or message[:2] != asked[:2] or not message[2] & 0x80:
        return False
    about = question_of(asked)
    if about is None or message[4:6] == b"\x00\x00":  # Errors may repeat no question.
        return True
    section = message[HEADER.size : HEADER.size + len(about.section)]
    return section.lower() == about.section.lower()


def servers_in(resolv_conf: str) -> tuple[tuple[str, int], ...]:
    """Addresses and ports of name servers; the host itself where none is named, as in every
    libc.
    """
    found = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            found.append((words[1], PORT))
    return tuple(found[:SERVERS_MAX]) or (("127.0.0.1", PORT),)
