"""DNS messages against RFC 1035, byte by byte, and against our own reader of answers."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.dns_messages import (
    AAAA,
    ANY,
    SERVFAIL,
    A,
    Found,
    answer,
    answers,
    failure,
    found_in,
    number_of,
    numbered,
    question,
    question_of,
    servers_in,
)
from tests.support import dns

# "backend.mesh", A, IN, number 7, recursion desired.
ASKED = bytes.fromhex("0007 0100 0001 0000 0000 0000") + b"\x07backend\x04mesh\x00" + b"\0\1\0\1"
EDNS = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
FOUR, SIX = bytes((240, 0, 0, 1)), bytes(10) + b"\xff\xff\xf0\0\0\1"


def test_a_question_is_read_as_it_was_asked_and_its_name_in_lower_case() -> None:
    assert question(7, "backend.mesh", A) == ASKED
    upper = ASKED.replace(b"backend", b"BackEnd")
    found = question_of(upper)
    assert found is not None
    assert (found.name, found.kind, found.section) == ("backend.mesh", A, upper[12:])
    assert not found.extended
    extended = question_of(_with_edns(ASKED))
    assert extended is not None
    assert (extended.section, extended.extended) == (found.section.lower(), True)


def _with_edns(message: bytes) -> bytes:
    return message[:10] + b"\0\1" + message[12:] + EDNS


@pytest.mark.parametrize(
    "message",
    [
        b"",
        ASKED[:11],
        ASKED[:-1],
        ASKED[:20],
        ASKED[:2] + b"\x81\0" + ASKED[4:],  # an answer
        ASKED[:2] + b"\x29\0" + ASKED[4:],  # an update
        ASKED[:4] + b"\0\2" + ASKED[6:],  # two questions
        ASKED[:6] + b"\0\1" + ASKED[8:],
        ASKED[:-1] + b"\3",  # of another internet
        ASKED[:12] + b"\xc0\x0c" + ASKED[-4:],  # a name that is elsewhere
        ASKED[:12] + b"\0" + ASKED[-4:],  # the root
        question(7, "a b.mesh", A),
        question(7, ".".join(["a" * 63] * 4), A),  # one character too long
    ],
)
def test_what_is_no_plain_question_is_not_read(message: bytes) -> None:
    assert question_of(message) is None


def test_an_answer_repeats_the_question_and_says_addresses() -> None:
    """As it was asked: a resolver may have mixed the case, to know its answer by it."""
    upper = numbered(ASKED.replace(b"backend", b"BackEnd"), 0xABCD)
    about = question_of(upper)
    assert about is not None
    made = answer(upper, about, (FOUR, SIX), 30)
    head = struct.unpack("!6H", made[:12])
    assert head == (0xABCD, 0x8580, 1, 2, 0, 0)  # an answer, authoritative, recursion
    assert made[12:].startswith(upper[12:])
    assert dns.parsed(made).found == (("240.0.0.1", 30), (dns.parsed(made).found[1][0], 30))
    assert found_in(made) == Found(0, (FOUR, SIX), 30)
    assert answers(made, upper)


def test_what_was_not_desired_is_not_said_to_be() -> None:
    asked = ASKED[:2] + b"\0\0" + ASKED[4:]  # No recursion.
    about = question_of(asked)
    assert about is not None
    assert answer(asked, about, (), 30)[2:4] == b"\x84\x80"


def test_of_several_ttls_the_least_counts() -> None:
    about = question_of(ASKED)
    assert about is not None
    made = answer(ASKED, about, (FOUR, FOUR), 30)
    for first, second in ((30, 7), (7, 30)):
        ttls = [each.to_bytes(4, "big") for each in (first, second)]
        parts = made.split((30).to_bytes(4, "big"))
        assert found_in(parts[0] + ttls[0] + parts[1] + ttls[1] + parts[2]).ttl_s == 7


def test_a_name_without_that_type_exists() -> None:
    about = question_of(ASKED)
    assert about is not None
    assert found_in(answer(ASKED, about, (), 30)) == Found(0)


def test_who_knows_edns_is_answered_with_edns() -> None:
    asked = _with_edns(ASKED)
    about = question_of(asked)
    assert about is not None
    made = answer(asked, about, (FOUR,), 30)
    assert made.endswith(EDNS)
    assert made[10:12] == b"\0\1"
    assert found_in(made).addresses == (FOUR,)


def test_a_failure_is_said_of_whatever_was_asked() -> None:
    assert failure(ASKED) == ASKED[:2] + b"\x81\x82" + ASKED[4:]
    unread = ASKED[:2] + b"\x29\0" + ASKED[4:]
    assert failure(unread) == ASKED[:2] + b"\xa9\x82" + bytes(8)
    assert found_in(failure(ASKED)).rcode == SERVFAIL


def test_an_answer_is_told_from_others() -> None:
    about = question_of(ASKED)
    assert about is not None
    made = answer(ASKED, about, (FOUR,), 30)
    other = question(7, "web.mesh", A)
    assert answers(made, ASKED)
    assert answers(made, ASKED.replace(b"backend", b"BACKEND"))
    assert not answers(made, numbered(ASKED, 8))
    assert not answers(made, other)
    assert not answers(made, question(7, "backend.mesh", AAAA))
    assert not answers(ASKED, ASKED)
    assert not answers(made[:11], ASKED)
    assert answers(failure(ASKED), ASKED)
    assert answers(failure(ASKED)[:4] + bytes(8), ASKED)  # Without the question.


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(message: bytes) -> None:
    about = question_of(message)
    if about is not None:
        assert answers(answer(message, about, (), 30), message)
        assert number_of(answer(message, about, (), 30)) == number_of(message)
    with suppress(ValueError):
        found_in(message)


@given(
    st.lists(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), max_size=9),
    st.integers(0, 2**31 - 1),
    st.sampled_from((A, AAAA, ANY)),
)
def test_what_was_said_is_heard(addresses: list[bytes], ttl_s: int, kind: int) -> None:
    asked = question(1, "a.mesh", kind)
    about = question_of(asked)
    assert about is not None
    found = found_in(answer(asked, about, addresses, ttl_s))
    assert found == Found(0, tuple(addresses), ttl_s if addresses else 0)


def test_name_servers_of_a_host() -> None:
    """As a libc reads them; three at most, and the host itself where there is none."""
    text = "# nameserver 192.0.2.9\nsearch example\nnameserver 192.0.2.1\nnameserver\t2001:db8::1\n"
    assert servers_in(text) == (("192.0.2.1", 53), ("2001:db8::1", 53))
    assert servers_in("nameserver\noptions ndots:5") == (("127.0.0.1", 53),)
    assert len(servers_in("nameserver 192.0.2.1\n" * 4)) == 3
