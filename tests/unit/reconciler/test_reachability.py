"""When an ingress of another zone counts as silent."""

from __future__ import annotations

from reconciler.reachability import NEVER, Asked, after


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
