"""How a plan is shown to people: what is left out is said, and what strangers wrote is text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.planning.data import data
from reconciler.planning.edges import EdgeChange, Way
from reconciler.planning.markdown import LENGTH_MAX, SHOWN_MAX, code, markdown
from reconciler.planning.plan import Refusal, Strength, TlsChange
from reconciler.planning.text import (
    DIFF_LINES_MAX,
    LISTED_MAX,
    by_text,
    difference,
    edge_text,
    lines,
    pairs_text,
    tls_text,
)
from tests.support.planned import ALL, EAST, NONE, V1, mesh, permission, planned

if TYPE_CHECKING:
    from reconciler.planning.plan import Plan


@pytest.fixture(scope="module")
def found() -> Plan:
    return planned([mesh(), ALL], [mesh(), NONE], EAST)


def edge(number: int, before: Way = Way.OPEN, after: Way = Way.DENIED) -> EdgeChange:
    opens, closes = after.is_open and not before.is_open, before.is_open and not after.is_open
    pairs = (("east", "west"),)
    return EdgeChange("m", f"s{number:04}", "t", (), before, after, pairs, (), opens, closes)


OPENED = edge(0, Way.DENIED, Way.OPEN)
OTHER = edge(1, Way.PLAIN, Way.OPEN)


def text(plan: Plan) -> str:
    return "\n".join(line.text for line in lines(plan, None))


# --- code spans ---


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain", "`plain`"),
        ("a`b``c", "```a`b``c```"),
        ("`", "`` ` ``"),
        ("a`", "`` a` ``"),
        ("", "`   `"),
        ("a|b", "`a\N{BROKEN BAR}b`"),
        ("a\nb\u202ec\u2066", "`a\ufffdb\ufffdc\ufffd`"),
    ],
)
def test_a_span_of_code_holds_any_text(given: str, shown: str) -> None:
    assert code(given) == shown


def test_no_name_ends_the_block_that_shows_everything(found: Plan) -> None:
    notes = ("```\n</details> @everyone\u202e",)
    zone = replace(found.zones[0], notes=notes)
    shown = markdown(replace(found, zones=(zone,)), "a..b", None)
    block = shown.partition("```diff\n")[2].partition("\n```")[0]
    assert "'''\ufffd</details> @everyone\ufffd" in block


# --- what is most important comes first, and what is left out is said ---


def test_ways_that_close_come_first(found: Plan) -> None:
    plan = replace(found, edges=(OTHER, OPENED, edge(2)))
    for shown in (text(plan), markdown(plan, "a..b", None).partition("<details>")[0]):
        places = [shown.index(f"{sign} s{n:04}") for sign, n in (("x", 2), ("+", 0), ("~", 1))]
        assert places == sorted(places)


def test_what_is_not_listed_is_counted(found: Plan) -> None:
    many = tuple(edge(n) for n in range(LISTED_MAX + 3))
    plan = replace(found, edges=many, changes=found.changes * (LISTED_MAX + 2))
    assert text(plan).count(" s0") == LISTED_MAX
    assert "  and 3 more; --format json has all" in text(plan)
    assert "  and 2 more; --format json has all" in text(plan)
    summary = markdown(plan, "a..b", None).partition("<details>")[0]
    assert summary.count("- `x s") == SHOWN_MAX
    assert f"- and {LISTED_MAX + 3 - SHOWN_MAX} more" in summary


def test_a_comment_that_is_too_long_is_cut_and_says_so(found: Plan) -> None:
    plan = replace(found, changes=found.changes * 2_000)
    shown = markdown(plan, "a..b", None)
    assert len(shown) <= LENGTH_MAX + 10
    assert shown.endswith("*Cut here; `reconciler plan` shows all.*\n")
    assert "**Traffic**" in shown


def test_each_zone_says_how_many_of_how_many(found: Plan) -> None:
    zone = replace(found.zones[0], touched=2, proxies=5)
    plan = replace(found, zones=(zone,))
    assert "| `east` | 2 of 5 |  |" in markdown(plan, "a..b", None)
    assert "  east: 2 of 5 proxies\n" in text(plan)
    kuma = replace(plan, zones=(replace(zone, native=False),))
    assert "  east: 2 of 5 proxies, computed by its own Kuma control plane\n" in text(kuma)


def test_who_would_not_be_admitted_is_listed(found: Plan) -> None:
    refusal = Refusal("default", "db", 3, "restricted tags")
    plan = replace(found, zones=(replace(found.zones[0], refusals=(refusal,)),))
    said = "db in default (3): not admitted again once they or their zone restart: restricted tags"
    assert said in text(plan)


def test_notes_are_told_of_a_change_of_nothing() -> None:
    found = planned([mesh(), ALL], [mesh(), ALL], {"west": []})
    assert "west: it tells of no proxies" in text(found)


def test_a_long_difference_ends_with_how_much_is_missing(found: Plan) -> None:
    change = found.zones[0].effects[0].changes[0]
    added = replace(change, before=None)
    rows = list(difference(added, lambda _: {str(n): n for n in range(DIFF_LINES_MAX)}))
    assert len(rows) == DIFF_LINES_MAX + 1
    assert rows[-1] == "… 3 lines more"


# --- words ---


def test_words_for_mtls() -> None:
    strict, permissive = Strength.STRICT, Strength.PERMISSIVE
    assert (
        tls_text(TlsChange("m", strict, permissive)) == "mesh m: mTLS STRICT → PERMISSIVE (weaker)"
    )
    assert tls_text(TlsChange("m", permissive, strict)) == "mesh m: mTLS PERMISSIVE → STRICT"
    assert tls_text(TlsChange("m", strict, strict, backend=True)) == (
        "mesh m: another CA signs certificates"
    )
    both = tls_text(TlsChange("m", strict, permissive, backend=True))
    assert both == "mesh m: mTLS STRICT → PERMISSIVE (weaker), another CA signs certificates"


def test_words_for_ways() -> None:
    assert edge_text(edge(2)).startswith("x s0002 → t in m: open → denied")
    assert edge_text(OPENED).startswith("+ s0000 → t in m: denied → open")
    assert edge_text(OTHER).startswith("~ s0001 → t in m: open, without mTLS → open")
    assert pairs_text((("east", "west"), ("west", "west"))) == "east → west, west"


def test_of_many_policies_the_strongest_are_named() -> None:
    more = [permission(name, (V1, "Deny")) for name in ("a", "b", "c")]
    found = planned([mesh(), ALL], [mesh(), ALL, *more], EAST)
    said = by_text(found.edges[0].origins, found)
    assert [name for name in "abcp" if f"default/{name} " in said] == ["a", "b", "c"]


def test_data_has_what_the_text_has(found: Plan) -> None:
    told: Any = data(found, None)
    (row,) = told["edges"]
    assert (row["before"], row["after"]) == ("OPEN", "DENIED")
    assert (row["opens"], row["closes"]) == (False, True)
