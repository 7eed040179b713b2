"""Keys compute their hash once; results live as long as somebody holds them."""

from __future__ import annotations

import copy
import gc
from dataclasses import dataclass, field, replace

from xds.memo import Key, Memo


class Counted:
    """Counts how often it is hashed."""

    def __init__(self) -> None:
        self.hashed = 0

    def __hash__(self) -> int:
        self.hashed += 1
        return 7

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counted)


@dataclass(frozen=True, slots=True)
class Value(Key):
    inner: Counted
    name: str = ""
    seen: list[int] = field(default_factory=list, compare=False)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Result:
    name: str


def test_a_key_is_hashed_once_however_often_it_is_looked_up() -> None:
    inner = Counted()
    key = Value(inner)
    memo: Memo[Value, Result] = Memo("test", lambda argument: Result(argument.name), 4)
    first = memo(key)
    assert all(memo(key) is first for _ in range(10))
    assert inner.hashed == 1


def test_equal_keys_have_equal_hashes() -> None:
    assert hash(Value(Counted(), "a")) == hash(Value(Counted(), "a", [1]))
    assert hash(Value(Counted(), "a")) != hash(Value(Counted(), "b"))
    assert {Value(Counted(), "a"): 1}[Value(Counted(), "a")] == 1


def test_a_changed_copy_has_a_hash_of_its_own() -> None:
    key = Value(Counted(), "a")
    hash(key)
    assert hash(replace(key, name="b")) == hash(Value(Counted(), "b"))
    assert hash(copy.copy(key)) == hash(key)


def test_what_is_held_is_found_however_much_came_after() -> None:
    memo = Memo("test", Result, 2)
    held = memo("0")
    for number in range(1, 20):
        memo(str(number))
    gc.collect()
    assert memo("0") is held
    assert len(memo) <= 5
    memo("1")
    assert memo.built == 21


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Entry:
    entry: bytes


def test_few_of_what_is_large_are_kept() -> None:
    """A collection of a thousand, or what answers a thousand names, counts for many results."""
    made: Memo[str, Entry] = Memo("test", lambda argument: Entry(bytes(int(argument))), 100)
    wholes: Memo[tuple[str, ...], Result] = Memo("test", lambda _: Result("all"), 100)
    for number in range(150):
        made(str(1000 + number))
    gc.collect()
    assert len(made) == 150
    for number in range(50):
        made(str(60_000 + number))
        wholes(tuple(f"{number}-{n}" for n in range(1000)))
    gc.collect()
    assert len(made) <= 3
    assert len(wholes) <= 3
    built = made.built
    made("60049")  # What was used last is there all the same.
    assert made.built == built
