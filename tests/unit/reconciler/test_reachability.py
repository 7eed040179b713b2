"""When an ingress of another zone counts as silent."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.instances import Place
from reconciler.reachability import NEVER, Asked, advertised, after
from tests.support.mesh import an_ingress


def heard(*answers: bool) -> Asked:
    known = NEVER
    for now, answered in enumerate(answers):
        known = after(known, answered, float(now))
    return known


def test_who_answered_and_then_did_not_twice_is_silent_since_the_first_time() -> None:
    assert heard(True, False).since is None
    assert heard(True, False, False).since == 1.0
    assert heard(True, False, False, False).since == 1.0
    assert heard(True, False, True, False, False).since == 3.0


def test_one_answer_ends_it() -> None:
    assert heard(True, False, False, True).since is None
    assert heard(True, False, False, True, False).since is None


def test_who_has_never_answered_is_not_silent() -> None:
    """Proxies may be allowed where their control plane is not."""
    assert heard(False, False, False).since is None
    assert heard(False, False, True, False).since is None


@pytest.mark.parametrize("said", [{"address": ""}, {"port": 0}])
def test_an_ingress_that_is_advertised_in_part_is_no_way_in(said: dict[str, Any]) -> None:
    there = [an_ingress("west", **said), an_ingress("north", address="203.0.113.2")]
    found = [(at, spec.zone) for at, spec in advertised(there, Place("east"))]
    assert found == [(("203.0.113.2", 10001), "north")]
