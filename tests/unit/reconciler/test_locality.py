"""Where calls go first: which endpoints a caller is given, on which level and in which locality."""

from __future__ import annotations

from decimal import Decimal

import pytest

from reconciler.locality import (
    AffinityTag,
    Group,
    LocalityConf,
    Preferences,
    Reach,
    Step,
    assignment,
    overprovisioning,
    preferences,
    values_of,
)
from xds.view import Endpoint, Endpoints

NODE, AZ = "k8s.io/node", "k8s.io/az"
HERE = "zone-1"
SUM = 2**32 - 1


def own(address: str, **tags: str) -> Endpoint:
    names = {"node": NODE, "az": AZ}
    found = tuple(sorted((names[key], value) for key, value in tags.items()))
    return Endpoint(address, 80, 1, found, HERE)


def remote(address: str, zone: str, *, weight: int = 1, via_egress: bool = False) -> Endpoint:
    return Endpoint(address, 10001, weight, (), zone, via_egress=via_egress)


def seen(found: Endpoints) -> dict[str, tuple[str | None, str, int]]:
    return {e.address: (e.zone, e.subzone, e.priority) for e in found.endpoints}


def ordered(conf: LocalityConf, *endpoints: Endpoint, **values: str) -> Endpoints:
    return assignment("backend", endpoints, preferences(conf, HERE, own("", **values).tags))


def step(reach: Reach, *zones: str, callers: tuple[str, ...] | None = None) -> Step:
    return Step(reach, frozenset(zones), frozenset(callers) if callers is not None else None)


EXAMPLE = LocalityConf(
    ranked=True,
    affinity=(AffinityTag(NODE), AffinityTag(AZ)),
    steps=(
        step(Reach.ANY, callers=("zone-9",)),
        step(Reach.ONLY, "zone-2", callers=(HERE,)),
        step(Reach.ANY_EXCEPT, "zone-4"),
        step(Reach.NONE),
    ),
)


def test_worked_example_of_affinity_tags_and_failover() -> None:
    """Levels 1 and 2 where Kuma has 2 and 3: the first step is of another zone and takes none."""
    found = ordered(
        EXAMPLE,
        own("e1", node="n1", az="az1"),
        own("e2", node="n2", az="az1"),
        own("e3", node="n3", az="az2"),
        remote("e4", "zone-2"),
        remote("e5", "zone-3"),
        remote("e6", "zone-4"),
        node="n1",
        az="az1",
    )
    assert seen(found) == {
        "e1": (HERE, "k8s.io/node=n1", 0),
        "e2": (HERE, "k8s.io/az=az1", 0),
        "e3": (HERE, "", 0),
        "e4": ("zone-2", "", 1),
        "e5": ("zone-3", "", 2),
    }
    assert found.weights == (
        ((HERE, ""), 1),
        ((HERE, "k8s.io/az=az1"), 9),
        ((HERE, "k8s.io/node=n1"), 90),
        (("zone-2", ""), 1),
        (("zone-3", ""), 1),
    )
    assert found.overprovisioning == 200


@pytest.mark.parametrize(
    ("percentage", "factor"),
    [
        ("70", 143),
        ("90", 111),
        ("50", 200),
        ("60", 167),
        ("30", 333),
        ("100", 100),
        ("66.6", 150),
        ("1e-30", 10_000_000),
        ("1e30", 100),
    ],
)
def test_a_threshold_is_rounded_to_the_nearest_factor(percentage: str, factor: int) -> None:
    assert overprovisioning(Decimal(percentage)) == factor


def test_without_a_policy_nothing_is_put_elsewhere() -> None:
    endpoints = (own("a"), Endpoint("b", 1, 3, (), "zone-2", priority=1), remote("c", "zone-3"))
    assert assignment("backend", endpoints, None) == Endpoints("backend", endpoints)


def test_a_policy_that_says_nothing_of_zones_puts_the_others_on_the_second_level() -> None:
    found = ordered(LocalityConf(), own("a"), remote("b", "zone-2"), remote("c", "zone-3"))
    levels = {"a": (HERE, "", 0), "b": ("zone-2", "", 1), "c": ("zone-3", "", 1)}
    assert seen(found) == levels
    assert (found.weights, found.overprovisioning) == ((), None)


def test_without_locality_awareness_all_are_on_one_level_whatever_else_is_said() -> None:
    off = LocalityConf(aware=False, ranked=True, affinity=EXAMPLE.affinity, steps=EXAMPLE.steps)
    distant = Endpoint("b", 10001, 1, (), "zone-2", priority=1)
    found = ordered(off, own("a", node="n1"), distant, node="n1")
    assert seen(found) == {"a": (HERE, "", 0), "b": ("zone-2", "", 0)}
    assert (found.weights, found.overprovisioning) == ((), None)


def test_what_is_said_of_the_own_zone_alone_keeps_calls_in_it() -> None:
    found = ordered(LocalityConf(ranked=True), own("a"), remote("b", "zone-2"))
    assert seen(found) == {"a": (HERE, "", 0)}


def test_none_ends_the_steps() -> None:
    steps = (step(Reach.ONLY, "zone-2"), step(Reach.NONE), step(Reach.ANY))
    found = ordered(LocalityConf(ranked=True, steps=steps), remote("b", "zone-2"), remote("c", "x"))
    assert seen(found) == {"b": ("zone-2", "", 1)}


def test_none_of_other_callers_ends_nothing() -> None:
    steps = (step(Reach.NONE, callers=("zone-9",)), step(Reach.ANY))
    found = ordered(LocalityConf(ranked=True, steps=steps), remote("b", "zone-2"))
    assert seen(found) == {"b": ("zone-2", "", 1)}


def test_the_first_step_to_a_zone_counts() -> None:
    steps = (step(Reach.ONLY, "zone-2"), step(Reach.ANY), step(Reach.ONLY, "zone-3"))
    found = ordered(
        LocalityConf(ranked=True, steps=steps), remote("b", "zone-2"), remote("c", "zone-3")
    )
    assert seen(found) == {"b": ("zone-2", "", 1), "c": ("zone-3", "", 2)}


def test_a_level_stays_when_those_before_it_are_gone() -> None:
    """An endpoint that moved to another level would lose its connections."""
    steps = (step(Reach.ONLY, "zone-2"), step(Reach.ONLY, "zone-3"))
    conf = LocalityConf(ranked=True, steps=steps)
    assert seen(ordered(conf, remote("c", "zone-3"))) == {"c": ("zone-3", "", 2)}


def test_an_endpoint_of_no_zone_is_of_the_own_one() -> None:
    found = ordered(LocalityConf(ranked=True), Endpoint("a", 1, 1, ()))
    assert seen(found) == {"a": (HERE, "", 0)}
    aware = ordered(LocalityConf(), Endpoint("a", 1, 1, ()))
    assert seen(aware) == {"a": (None, "", 0)}


def test_what_the_egress_leads_to_is_one_locality() -> None:
    """Another for other steps; a zone without a step is not called through it either."""
    conf = LocalityConf(ranked=True, steps=(step(Reach.ANY_EXCEPT, "zone-4"),))
    endpoints = [remote("e", zone, via_egress=True) for zone in ("zone-2", "zone-3", "zone-4")]
    found = ordered(conf, own("a"), *endpoints)
    (zone, subzone, priority) = seen(found)["e"]
    assert (subzone, priority) == ("", 1)
    assert zone is not None
    assert zone.startswith("egress_")
    assert len(zone) == len("egress_") + 8
    assert next(e.weight for e in found.endpoints if e.address == "e") == 2
    other = LocalityConf(ranked=True, steps=(step(Reach.ONLY, "zone-2"),))
    assert seen(ordered(other, *endpoints))["e"][0] != zone
    assert seen(ordered(LocalityConf(ranked=True), *endpoints)) == {}


def test_given_weights_are_used() -> None:
    conf = LocalityConf(ranked=True, affinity=(AffinityTag(NODE, 7), AffinityTag(AZ, 3)))
    found = ordered(conf, own("a", node="n1"), own("b", az="z1"), own("c"), node="n1", az="z1")
    assert dict(found.weights) == {
        (HERE, ""): 1,
        (HERE, f"{NODE}=n1"): 7,
        (HERE, f"{AZ}=z1"): 3,
    }


def test_a_tag_that_the_caller_has_not_is_no_group() -> None:
    """The weights of the others stay."""
    conf = LocalityConf(ranked=True, affinity=(AffinityTag(NODE), AffinityTag(AZ)))
    found = ordered(conf, own("a", node="n1", az="z1"), own("b"), az="z1")
    assert dict(found.weights) == {(HERE, ""): 1, (HERE, f"{AZ}=z1"): 9}


def test_a_label_is_as_good_as_a_tag_that_is_not_there() -> None:
    near = Endpoint("a", 80, 1, (), HERE, labels=((NODE, "n1"),))
    tagged = Endpoint("b", 80, 1, ((NODE, "n2"),), HERE, labels=((NODE, "n1"),))
    conf = LocalityConf(ranked=True, affinity=(AffinityTag(NODE),))
    found = ordered(conf, near, tagged, node="n1")
    assert seen(found) == {"a": (HERE, f"{NODE}=n1", 0), "b": (HERE, "", 0)}


def test_other_zones_weigh_as_much_as_their_endpoints() -> None:
    """Where localities have weights, one without is never called by a hash."""
    conf = LocalityConf(ranked=True, affinity=(AffinityTag(NODE),), steps=(step(Reach.ANY),))
    found = ordered(
        conf, remote("b", "zone-2", weight=3), remote("c", "zone-2"), remote("d", "zone-3")
    )
    assert found.weights == ((("zone-2", ""), 4), (("zone-3", ""), 1))


@pytest.mark.parametrize(
    "affinity",
    [
        tuple(AffinityTag(f"k{n}") for n in range(12)),
        (AffinityTag("k0", SUM), AffinityTag("k1", SUM), AffinityTag("k2", 1)),
    ],
)
def test_weights_that_envoy_cannot_add_up_keep_their_order(
    affinity: tuple[AffinityTag, ...],
) -> None:
    values = tuple((tag.key, "v") for tag in affinity)
    found = preferences(LocalityConf(ranked=True, affinity=affinity), HERE, values)
    weights = [group.weight for group in found.groups]
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] >= 1
    assert sum(weights) + 1 <= SUM


def test_callers_see_the_same_unless_a_tag_of_the_conf_differs() -> None:
    """So that they share one assignment."""
    one, two = (((AZ, "z1"), (NODE, node)) for node in ("n1", "n2"))
    by_az = LocalityConf(ranked=True, affinity=(AffinityTag(AZ),))
    assert preferences(by_az, HERE, one) == preferences(by_az, HERE, two)
    by_node = LocalityConf(ranked=True, affinity=(AffinityTag(NODE),))
    assert preferences(by_node, HERE, one) != preferences(by_node, HERE, two)
    assert preferences(LocalityConf(), HERE, one) == Preferences(HERE)
    assert preferences(by_az, HERE, one).groups == (Group(AZ, "z1", 9),)


def test_values_are_those_of_tags_before_labels() -> None:
    tags = (((NODE, "n2"),), ((AZ, "z1"), (NODE, "n1")))
    assert values_of((NODE, AZ, "x"), tags, ((AZ, "z9"), ("x", "y"), ("z", "z"))) == (
        (AZ, "z1"),
        (NODE, "n1"),
        ("x", "y"),
    )
