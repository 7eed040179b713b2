"""Addresses: given in order, kept, held back, and stored."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING

import pytest

from reconciler.model.resource import canonical_json
from reconciler.vips.allocation import HOLD_MIN_S, HOLD_S, Allocations, Changes, Pools, Released
from reconciler.vips.entries import Entry, EntryKind
from reconciler.vips.stored import DamagedAllocations, allocations_of, text_of
from tests.support.names import fqdn, host, service

if TYPE_CHECKING:
    from collections.abc import Mapping

POOLS = Pools()
NOW = 1_800_000_000.0


def real(name: str, kind: EntryKind = EntryKind.MESH_SERVICE) -> Entry:
    return Entry(kind, name)


def given(
    allocations: Allocations,
    *entries: Entry,
    mesh: str = "m",
    now: float = NOW,
    pools: Pools = POOLS,
) -> Allocations:
    after, _ = allocations.followed(mesh, entries, now, pools)
    return after


def addresses(allocations: Allocations, mesh: str = "m") -> dict[str, str]:
    return {entry.name: address for entry, address in allocations.of(mesh).items()}


def test_the_first_are_as_kumas_by_kind_and_name() -> None:
    found = given(Allocations(), fqdn("a.x"), host("pay.example"), service("b"), service("a"))
    assert addresses(found) == {
        "a": "240.0.0.0",
        "b": "240.0.0.1",
        "pay.example": "240.0.0.2",
        "a.x": "240.0.0.3",
    }


def test_each_mesh_begins_anew_and_real_services_share_their_pools() -> None:
    kinds = (EntryKind.MESH_SERVICE, EntryKind.EXTERNAL, EntryKind.MULTI_ZONE)
    found = given(Allocations(), service("a"), *(real("r", kind) for kind in kinds))
    found = given(found, service("z"), *(real("r", kind) for kind in kinds), mesh="n")
    assert sorted(found.of("m").values()) == ["240.0.0.0", "241.0.0.0", "242.0.0.0", "243.0.0.0"]
    assert sorted(found.of("n").values()) == ["240.0.0.0", "241.0.0.1", "242.0.0.1", "243.0.0.1"]
    assert found.meshes == ("m", "n")


def test_an_entry_keeps_its_address_whoever_comes_before_it_in_order() -> None:
    first = given(Allocations(), service("b"))
    found, changes = first.followed("m", [service("b"), service("a")], NOW, POOLS)
    assert addresses(found) == {"b": "240.0.0.0", "a": "240.0.0.1"}
    assert changes == Changes(given=((service("a"), "240.0.0.1"),))
    same, changes = found.followed("m", [service("a"), service("b")], NOW + 10 * HOLD_S, POOLS)
    assert same is found
    assert not changes


def test_what_is_given_back_is_held_for_its_entry_for_an_hour_and_then_free() -> None:
    found = given(Allocations(), service("a"), service("b"))
    after, changes = found.followed("m", [service("b")], NOW, POOLS)
    assert changes.taken_back == ((service("a"), "240.0.0.0"),)
    soon = given(after, service("b"), service("c"), now=NOW + HOLD_S)
    assert addresses(soon) == {"b": "240.0.0.1", "c": "240.0.0.2"}
    back = given(soon, service("a"), service("b"), service("c"), now=NOW + HOLD_S)
    assert addresses(back)["a"] == "240.0.0.0"
    later = given(after, service("b"), service("c"), now=NOW + HOLD_S + 1)
    assert addresses(later) == {"b": "240.0.0.1", "c": "240.0.0.0"}
    assert addresses(given(later, service("a"), service("c")))["a"] == "240.0.0.2"


def test_a_mesh_that_is_gone_gives_all_back() -> None:
    found = given(given(Allocations(), real("r")), mesh="m")
    assert found.meshes == ()
    assert addresses(given(found, real("r"), mesh="n"), "n") == {"r": "241.0.0.1"}


def test_a_full_pool_gives_what_was_given_back_first_but_not_at_once() -> None:
    small = Pools.of(legacy="10.0.0.0/31")
    found = given(Allocations(small), service("a"), service("b"), pools=small)
    found = given(found, service("b"), pools=small)
    found = given(found, now=NOW + 100, pools=small)
    after, changes = found.followed("m", [service("c")], NOW + HOLD_MIN_S - 1, small)
    assert after is found
    assert changes == Changes(exhausted=(service("c"),))
    wanted = [service("c"), service("d")]
    both, _ = found.followed("m", [service("c")], NOW + HOLD_S, small)
    assert addresses(both) == {"c": "10.0.0.0"}  # which was given back first
    after, changes = found.followed("m", wanted, NOW + HOLD_MIN_S, small)
    assert changes.given == ((service("c"), "10.0.0.0"),)
    assert changes.exhausted == (service("d"),)
    assert addresses(given(after, service("a"), service("c"), now=NOW + HOLD_S, pools=small)) == {
        "c": "10.0.0.0",
        "a": "10.0.0.1",
    }


def test_pools_that_overlap_give_no_address_twice_within_a_mesh() -> None:
    one = Pools.of(*["10.0.0.0/29"] * 4)
    found = given(Allocations(one), service("a"), real("r"), pools=one)
    found = given(found, service("a"), service("b"), real("r"), mesh="n", pools=one)
    assert addresses(found) == {"a": "10.0.0.0", "r": "10.0.0.1"}
    assert addresses(found, "n") == {"a": "10.0.0.0", "b": "10.0.0.2", "r": "10.0.0.3"}


def test_another_pool_moves_what_is_outside_of_it_and_nothing_else() -> None:
    wide, narrow = Pools.of(legacy="10.0.0.0/30"), Pools.of(legacy="10.0.0.2/31")
    found = given(Allocations(wide), *(service(n) for n in "abc"), pools=wide)
    moved = given(found, *(service(n) for n in "abc"), pools=narrow)
    assert addresses(moved) == {"a": "10.0.0.3", "c": "10.0.0.2"}  # there are but two
    back = given(moved, *(service(n) for n in "abc"), pools=wide)
    assert addresses(back) == {"a": "10.0.0.3", "b": "10.0.0.1", "c": "10.0.0.2"}
    assert back.pools == wide


def test_of_several_addresses_that_an_entry_had_it_has_the_last_again() -> None:
    wide, narrow = Pools.of(legacy="10.0.0.0/30"), Pools.of(legacy="10.0.0.2/31")
    found = given(Allocations(wide), service("a"), pools=wide)
    found = given(found, service("a"), now=NOW + 1, pools=narrow)
    found = given(found, now=NOW + 2, pools=narrow)
    assert addresses(given(found, service("a"), now=NOW + 3, pools=wide)) == {"a": "10.0.0.2"}


def test_an_address_of_one_family_is_in_no_pool_of_the_other() -> None:
    four, six = Pools.of(legacy="240.0.0.0/28"), Pools.of(legacy="::f000:0/124")
    found = given(Allocations(four), service("a"), pools=four)
    assert addresses(given(found, service("a"), pools=six)) == {"a": "::f000:0"}


def test_pools_are_ipv6_as_well() -> None:
    six = Pools.of(legacy="fd00:fd00::/64")
    found = given(Allocations(six), service("a"), service("b"), pools=six)
    assert addresses(found) == {"a": "fd00:fd00::", "b": "fd00:fd00::1"}
    with pytest.raises(ValueError, match="x"):
        Pools.of(legacy="x")


def test_a_clock_that_was_ahead_holds_nothing_back_for_ever() -> None:
    found = given(Allocations(), service("a"), service("b"))
    found = given(found, service("b"), now=NOW + 1e9)
    found = given(found, service("b"), service("c"))
    assert addresses(found)["c"] == "240.0.0.2"
    late = given(found, service("b"), service("c"), service("d"), now=NOW + HOLD_S + 1)
    assert addresses(late)["d"] == "240.0.0.0"


# --- stored ---


def some() -> Allocations:
    found = given(Allocations(), service("a"), host("x:y"), real("r"))
    return given(given(found, service("a"), real("r")), fqdn("a.x"), mesh="n", now=NOW + 1.5)


def test_what_is_stored_is_read_as_it_was() -> None:
    text = text_of(some())
    found = allocations_of(text)
    assert text_of(found) == text
    assert (found.held, found.released) == (some().held, some().released)
    assert text_of(allocations_of(text_of(Allocations()))) == text_of(Allocations())


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: "",
        lambda text: "[]",
        lambda text: text + " ",
        lambda text: text.replace("240.0.0.0", "240.0.0.9"),
        lambda text: text.replace('"version":1', '"version":2'),
        lambda text: text.replace('"0:a"', '"9:a"'),
        lambda text: json.dumps({**json.loads(text), "released": [["m", "0:a", "240.0.0.0", "x"]]}),
        lambda text: json.dumps({**json.loads(text), "held": {"m": {"0:a": 7}}}),
        lambda text: json.dumps({**json.loads(text), "held": {"m": {"0:a": "10.0.0.1"}}}),
        lambda text: json.dumps(
            {**json.loads(text), "held": {"m": {"0:a": "240.0.0.0", "0:b": "240.0.0.0"}}}
        ),
    ],
)  # fmt: skip
def test_what_is_damaged_is_refused(damage: object) -> None:
    assert callable(damage)
    with pytest.raises(DamagedAllocations):
        allocations_of(damage(text_of(some())))


@pytest.mark.parametrize(
    ("held", "released"),
    [
        ({"m": {service("a"): "240.0.0.0", service("b"): "240.0.0.0"}}, {}),
        ({"m": {service("a"): "10.0.0.1"}}, {}),
        ({"m": {real("a"): "240.0.0.0"}}, {}),
        ({"m": {real("a"): "241.0.0.0"}, "n": {real("a"): "241.0.0.0"}}, {}),
        ({"m": {service("a"): "240.0.0.0"}},
         {("m", "240.0.0.0"): Released(("m", service("b")), NOW)}),
    ],
)  # fmt: skip
def test_what_cannot_have_been_given_is_refused(
    held: Mapping[str, Mapping[Entry, str]], released: Mapping[tuple[str, str], Released]
) -> None:
    with pytest.raises(ValueError, match=r"twice|outside"):
        Allocations.restored(POOLS, held, released)


def test_a_time_that_is_none_is_refused_though_the_digest_fits() -> None:
    body = json.loads(text_of(some()))
    del body["digest"]
    body["released"][0][3] = math.nan
    digest = hashlib.sha256(canonical_json(body).encode()).hexdigest()
    with pytest.raises(DamagedAllocations, match="no time"):
        allocations_of(canonical_json({**body, "digest": digest}))
