"""Names and addresses step by step are those made from nothing; an address is one's alone, stays,
and is nobody else's until it was held back long enough; a restart changes nothing.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.resource import SERVICE
from reconciler.model.spec import ReachableBackend
from reconciler.real import Reals
from reconciler.vips.allocation import HOLD_MIN_S, HOLD_S, Allocations, Pools
from reconciler.vips.entries import REAL, Entry, EntryKind
from reconciler.vips.resolvable import Reach, Resolvable
from reconciler.vips.stored import allocations_of, text_of
from reconciler.vips.wanted import nothing
from tests.support.mesh import (
    a_dataplane,
    a_mesh_service,
    an_external,
    an_inbound,
    an_ingress,
    offers,
)
from tests.support.names import a_generator, a_mesh_external, a_virtual_outbound, by_type, wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.model.resource import MeshResource
    from reconciler.vips.wanted import Wanted

NAMES = st.sampled_from(("a", "b", "a_b", "a.b"))
TAGS = st.dictionaries(
    st.sampled_from(("instance", "port")), st.sampled_from(("1", "80")), max_size=2
)
HOSTS = st.sampled_from(("{{.srv}}.mesh", "{{.srv}}.{{.instance}}.mesh", "one.x"))
PORTS = st.sampled_from(("80", "{{.port}}"))
SELECTORS = st.sampled_from(({SERVICE: "*"}, {SERVICE: "a"}, {SERVICE: "*", "instance": "*"}))
TEMPLATES = st.sampled_from(("{{ .DisplayName }}.svc", "static", '{{ label "x" }}', "X"))
LABELS = st.dictionaries(st.just("x"), st.sampled_from(("1", "2")), max_size=1)

THINGS = st.one_of(
    st.builds(
        lambda name, services: a_dataplane(
            name, *(an_inbound(s, tags=tags, port=80 + at) for at, (s, tags) in enumerate(services))
        ),
        NAMES, st.lists(st.tuples(NAMES, TAGS), max_size=2),
    ),
    st.builds(
        lambda zone, services: an_ingress(zone, *(offers(s, **tags) for s, tags in services)),
        st.sampled_from(("east", "west", "south")), st.lists(st.tuples(NAMES, TAGS), max_size=2),
    ),
    st.builds(
        lambda name, at, of: an_external(name, at, service=of),
        NAMES, st.sampled_from(("x.y:443", "a.mesh:80", "1.2.3.4:80")), NAMES,
    ),
    st.builds(a_virtual_outbound, NAMES, HOSTS, PORTS, SELECTORS),
    st.builds(lambda name, labels: a_mesh_service(name, labels, spec={"ports": [{"port": 80}]}),
              NAMES, LABELS),
    st.builds(a_mesh_external, NAMES, st.just(443), LABELS),
    st.builds(a_generator, NAMES, TEMPLATES, LABELS,
              kind=st.sampled_from(("meshService", "meshExternalService"))),
)  # fmt: skip
CHANGES = st.lists(st.tuples(THINGS, st.booleans(), st.booleans()), max_size=14)
CLASSES = (
    ("Everywhere", Reach()),
    ("Exclusive", Reach()),
    ("ReachableBackends", Reach()),
    ("Everywhere", Reach(frozenset({"a", "b"}))),
    ("Everywhere", Reach(backends=(ReachableBackend("MeshService", labels=(("x", "1"),)),))),
    ("Exclusive", Reach(backends=(ReachableBackend("MeshExternalService", "a"),))),
)


def parts(found: Wanted) -> tuple[object, ...]:
    return (
        dict(found.holders), dict(found.generated), dict(found.owners), found.problems
    )  # fmt: skip


@given(CHANGES)
def test_names_step_by_step_are_those_made_from_nothing(
    changes: Sequence[tuple[MeshResource, bool, bool]],
) -> None:
    """Also for classes of proxies that ask now and then."""
    there: dict[object, MeshResource] = {}
    held = by_type()
    found = nothing("default", "east")
    told = Resolvable()
    for resource, stays, asks in changes:
        there.pop(resource.key, None)
        if stays:
            there[resource.key] = resource
        type_ = resource.key.type
        before = held.get(type_)
        held = {**held, type_: by_type(*there.values()).get(type_, by_type(resource)[type_].of(()))}
        if before is not None:
            held[type_] = before.changed({resource.key.name: resource if stays else None})
        after, differing = found.followed(held)
        anew = wanted(*there.values())
        assert parts(after) == parts(anew)
        for holder in after.holders.values():
            numbers = [port.port for port in holder.ports]
            assert numbers == sorted(set(numbers))
        assert (after is found) == (parts(after) == parts(found))
        kept = {e for e in after.holders if after.holders[e] != found.holders.get(e)}
        assert kept <= differing
        addresses = {entry: f"240.0.0.{at}" for at, entry in enumerate(sorted(after.holders))}
        told = told.followed(after.holders, addresses, {*differing, *found.holders, *after.holders})
        whole = Resolvable().followed(anew.holders, addresses, anew.holders)
        assert (told.outbounds, told.domains) == (whole.outbounds, whole.domains)
        reals, _ = Reals().followed((None, r) for r in there.values() if r.key.type in REAL)
        for mode, reach in CLASSES:
            if asks:
                mine = told.for_reachable(mode, reach, reals, "east")
                anew_too = Resolvable().followed(anew.holders, addresses, anew.holders)
                other = anew_too.for_reachable(mode, reach, reals, "east")
                assert (mine.outbounds, mine.domains) == (other.outbounds, other.domains)
        found = after


@given(st.lists(THINGS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_things_come_does_not_matter(
    things: Sequence[MeshResource], random: object
) -> None:
    unique = list({thing.key: thing for thing in things}.values())
    shuffled = list(unique)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert parts(wanted(*unique)) == parts(wanted(*shuffled))


ENTRIES = st.builds(Entry, st.sampled_from(EntryKind), st.sampled_from("abcd"))
POOLS = st.sampled_from(
    (
        Pools(),
        Pools.of(*["10.0.0.0/29"] * 4),
        Pools.of("10.0.0.0/30", "10.0.0.2/31", "10.0.0.4/30", "fd00::/126"),
    )
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("m", "n")),
        st.frozensets(ENTRIES, max_size=6),
        st.sampled_from((0.0, 1.0, HOLD_MIN_S, HOLD_S, -5.0)),
        POOLS,
    ),
    max_size=10,
)


@settings(max_examples=300)
@given(STEPS)
def test_addresses_are_ones_own_stay_and_are_held_back(
    steps: Sequence[tuple[str, frozenset[Entry], float, Pools]],
) -> None:
    found, now, elapsed = Allocations(), 1e9, 0.0  # the clock may go back, time does not
    last_used: dict[tuple[str, str], tuple[float, tuple[str, Entry]]] = {}
    for mesh, wanted_, passed, pools in steps:
        now, elapsed = now + passed, elapsed + max(passed, 0)
        before = found
        found, changes = before.followed(mesh, wanted_, now, pools)
        assert text_of(allocations_of(text_of(found))) == text_of(found)
        restarted, again = allocations_of(text_of(before)).followed(mesh, wanted_, now, pools)
        assert (text_of(restarted), again) == (text_of(found), changes)
        assert (found is before) == (text_of(found) == text_of(before))
        assert {*found.of(mesh), *changes.exhausted} == wanted_
        shared = [
            a for m in found.meshes for e, a in found.of(m).items() if e.kind > EntryKind.FQDN
        ]
        assert len(shared) == len(set(shared))
        for each in found.meshes:
            own = list(found.of(each).values())
            assert len(own) == len(set(own))
            for entry, address in found.of(each).items():
                assert ip_address(address) in pools.network(entry.kind)
                was = before.of(each).get(entry)
                if was is not None and pools == before.pools:
                    assert address == was
        for entry, address in changes.given:
            scope = "" if entry.kind > EntryKind.FQDN else mesh
            since, owner = last_used.get((scope, address), (-1e9, (mesh, entry)))
            assert owner == (mesh, entry) or elapsed - since >= HOLD_MIN_S
        for each in before.meshes:
            for entry, address in before.of(each).items():
                if found.of(each).get(entry) != address:
                    scope = "" if entry.kind > EntryKind.FQDN else each
                    last_used[scope, address] = elapsed, (each, entry)


@given(st.lists(ENTRIES, max_size=8), st.randoms(use_true_random=False))
def test_entries_that_come_together_get_their_addresses_in_their_own_order(
    entries: Sequence[Entry], random: object
) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, _ = Allocations().followed("m", entries, 0.0, Pools())
    two, _ = Allocations().followed("m", shuffled, 0.0, Pools())
    assert text_of(one) == text_of(two)
    assert list(dict(sorted(one.of("m").items())).values()) == sorted(one.of("m").values())
