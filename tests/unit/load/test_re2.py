"""Which regular expressions RE2 reads; tests/e2e/test_route_verdicts.py asks a real Envoy, and Go's
was asked through Kuma's API.
"""

from __future__ import annotations

import pytest

from reconciler.policies.re2 import faults

BOTH = [
    *("", "a.b", "a|", "^*", "()*", "a{,2}", "a{2,}", "{", "a{1000}", "(a{10}){100}", "a*?b"),
    *(
        "a(?i)*",
        "(?s-i:a)",
        "(?P<n>a)(?<m>b)",
        "]",
        "[]a]",
        "[^]a]",
        "[a-]",
        "[[:alpha:]x]",
        "[[:]",
    ),
    *(
        r"\d\pN\p{Greek}\P{^Lu}",
        r"[\d\p{L}-]",
        r"\Qa(\E+",
        r"\Q(",
        r"\x41\x{10FFFF}\07\12",
        r"\_\-",
    ),
    *(r"\Aa\b\B\z", r"(a)\\1", "é+"),
]
NEITHER = [
    *(
        "(",
        ")",
        "a)",
        "*",
        "a|*",
        "(*)",
        "a**",
        "a*??",
        "a++",
        "a{2,1}",
        "a{1001}",
        "a{99999999999}",
    ),
    *("(a{11}){100}", "(?=a)", "(?<!a)", "(?<n", "(?P<n>a)(?P<n>b)", "(?P<>a)", "(?P=n)", "(?>a)"),
    *("(?#a)", "(?i", "(?x)", "(?--i)", "[", "[]", "[z-a]", "[[:foo:]]", "[a", r"\pX", r"\p{Foo}"),
    *(r"\p{", "\\", r"(a)\1", r"\8", r"\Z", r"\u0041", r"\x4", r"\x{110000}", r"[\b]", r"\é"),
]


@pytest.mark.parametrize("value", BOTH)
def test_what_re2_reads_is_taken(value: str) -> None:
    assert [*faults(value), *faults(value, go=True)] == []


@pytest.mark.parametrize("value", NEITHER)
def test_what_re2_lacks_is_told_once(value: str) -> None:
    assert len([*faults(value)]) == 1
    assert len([*faults(value, go=True)]) == 1


def test_go_has_more_names_and_envoy_one_more_escape() -> None:
    assert [*faults(r"\p{Letter}\p{latin}", go=True)] == []
    assert [*faults(r"\p{Letter}")] != []
    assert [*faults(r"\C", go=True)] != []
    assert [*faults(r"\C")] == []


def test_a_long_expression_is_read_at_once() -> None:
    assert [*faults("(a|b[c-d]*\\w)" * 10_000)] == []
    assert len([*faults("(" * 100_000)]) == 1
