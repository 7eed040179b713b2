"""A zone that lost its store gathers before it speaks: absence is not emptiness (design 1)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from reconciler.kds.client import Dial
from reconciler.kds.types import MANIFEST
from reconciler.status.announcement import StatusMode, ZoneStatus
from reconciler.steps import zone_gather, zone_report
from reconciler.steps import zone_state as z
from reconciler.steps.global_state import GlobalSettings
from reconciler.steps.zone_state import ZoneState
from tests.simulation.proxies import DIALS_LAST_S
from tests.support.zone import INGRESS, MESH, START, Zone, dataplane, settings
from tests.unit.steps.test_zone_global import ONE, OWNED_TYPES, Followed
from xds.discovery import DeltaRequest
from xds.resource import LISTENER

BACKEND = dataplane("backend", "backend", address="10.0.1.1")
OTHER = dataplane("other", "backend", address="10.0.1.2")
HELD = DeltaRequest(LISTENER, initial_versions={"inbound": "1"})
SAID = DeltaRequest(LISTENER, wanted=(), version="1")  # the same in state of the world


def lost(*kinds: str, **changes: Any) -> Zone:
    """A zone whose store lost these kinds; `policy` among them or not."""
    status = ZoneStatus(StatusMode.DIRECT)
    changes = {"reconnect_gather_s": 10.0, **changes}
    made = Zone(ZoneState(settings=settings(status=status, **changes)))
    policies = () if "policy" in kinds else (MESH,)
    revision = "c1" if policies else None
    made.deliver(z.Restored(START, policies, revision=revision, lost=frozenset(kinds)))
    return made


def follow(made: Zone) -> Followed:
    found = Followed(made)
    found.connect()
    for type_ in ("Dataplane", "ZoneIngress", "DataplaneInsight"):
        made.deliver(z.GlobalRequest(found.session, DeltaRequest(type_)))
    return found


def come_back(made: Zone, document: dict[str, Any], held: DeltaRequest = HELD) -> str:
    stream = made.connect(document, listeners=False)
    made.request(stream, held)
    return stream


def told(effects: list[z.Effect]) -> dict[str, int]:
    """Resources by type, in what went up."""
    found = [e.response for e in effects if isinstance(e, z.ToGlobalResponse)]
    return {r.type_url: len(r.resources) for r in found}


def gathers(made: Zone) -> bool:
    return made.state.gathering is not None


def wanted(effects: list[z.Effect]) -> list[z.StatusWanted]:
    return [e for e in effects if isinstance(e, z.StatusWanted)]


@pytest.mark.parametrize("held", [HELD, SAID], ids=["delta", "state of the world"])
def test_zone_that_lost_its_proxies_says_nothing_before_they_had_time_to_come_back(
    held: DeltaRequest,
) -> None:
    made = lost("local")
    follow(made)
    assert told(made.effects) == {}
    for document in (INGRESS, BACKEND, OTHER):
        come_back(made, document, held)
        assert told(made.effects) == {}
        made.tick(1.0)
        assert told(made.effects) == {}
        assert wanted(made.effects) == []
    assert made.sent == {}
    made.tick(6.9)
    assert (told(made.effects), made.sent) == ({}, {})
    made.tick(0.2)
    up = told(made.effects)
    assert (up["Dataplane"], up["ZoneIngress"]) == (2, 1)
    assert made.services == {"backend": 2}
    made.deliver(z.BuildDue(made.now))
    assert made.sent.keys() == {"s1", "s2", "s3"}
    made.tick(0.2)
    assert wanted(made.effects)[0].status.total == 3


def test_types_there_is_nothing_of_are_answered_empty_in_the_end() -> None:
    made = lost("local")
    follow(made)
    made.tick(10.0)
    assert told(made.effects) == {"Dataplane": 0, "ZoneIngress": 0, "DataplaneInsight": 0}


def test_asked_again_in_the_meantime_it_still_says_nothing() -> None:
    made = lost("local")
    come_back(made, BACKEND)
    follow(made)
    made.deliver(z.GlobalDisconnected("g1", "cut"))
    follow(made)
    assert told(made.effects) == {}


def test_proxy_that_holds_nothing_is_no_endpoint_before_it_listens() -> None:
    made = lost("local")
    for document in (INGRESS, BACKEND):
        come_back(made, document)
    made.connect(OTHER)
    made.tick(10.0)
    assert made.services == {"backend": 1}


def test_while_proxies_return_it_waits_longer_but_not_for_ever() -> None:
    """After a long absence Envoy waits up to half a minute between two tries."""
    made = lost("local")
    made.now += 9.0
    come_back(made, BACKEND)
    made.tick(4.9)
    assert gathers(made)
    made.tick(0.2)
    assert not gathers(made)
    made = lost("local", reconnect_gather_s=20.0)
    for n in range(29):
        made.now += 1.0
        come_back(made, dataplane(f"b{n}", "backend", address=f"10.0.1.{n}"))
    made.tick(0.9)
    assert gathers(made)
    made.tick(0.2)
    assert not gathers(made)


def test_without_policies_nobody_can_come_back_so_the_time_begins_with_them() -> None:
    made = lost("local", "policy")
    followed = follow(made)
    made.tick(3600.0)
    assert gathers(made)
    followed.send(ONE, *OWNED_TYPES, MANIFEST)
    assert made.state.revision == "c1"
    for document in (INGRESS, BACKEND):
        come_back(made, document)
    made.tick(9.9)
    assert (told(made.effects), made.sent) == ({}, {})
    made.tick(0.2)
    assert told(made.effects)["ZoneIngress"] == 1
    assert made.services == {"backend": 1}


def test_zone_that_lost_policies_alone_speaks_when_they_are_back() -> None:
    """Without its meshes the ingress would offer nothing."""
    made = lost("policy")
    followed = follow(made)
    assert told(made.effects) == {}
    followed.send(ONE, *OWNED_TYPES, MANIFEST)
    assert not gathers(made)


def test_zone_that_lost_the_ingresses_of_others_pushes_when_the_global_told_them() -> None:
    for answers in (True, False):
        made = lost("relayed")
        come_back(made, BACKEND)
        followed = follow(made)
        made.tick(110.0)
        assert made.sent == {}
        if answers:
            followed.give("ZoneIngress", ())
        else:
            made.tick(10.1)
        made.deliver(z.BuildDue(made.now))
        assert made.sent.keys() == {"s1"}


def test_what_a_zone_says_of_itself_does_not_wait_for_others() -> None:
    """A global that lost its store as well waits for it, and would wait in vain."""
    made = lost("local", "relayed")
    follow(made)
    for document in (INGRESS, BACKEND):
        come_back(made, document)
    made.tick(10.0)
    assert told(made.effects)["ZoneIngress"] == 1
    assert made.sent == {}
    assert gathers(made)


def test_new_zone_waits_for_nobody() -> None:
    made = lost()
    follow(made)
    assert told(made.effects) == {"DataplaneInsight": 0}
    made.connect(BACKEND)
    assert made.sent.keys() == {"s1"}


def test_loss_is_made_good_on_disk_when_all_is_told_and_not_before() -> None:
    """A zone that dies while it gathers gathers again: its disk holds half of its proxies."""
    made = lost("local")
    come_back(made, BACKEND)
    assert z.PersistMadeGood() not in made.effects
    made.tick(10.0)
    assert made.effects.count(z.PersistMadeGood()) == 1
    made.tick(10.0)
    assert z.PersistMadeGood() not in made.effects


def test_proxy_that_is_gone_for_good_no_longer_waits_to_be_built() -> None:
    made = lost("local", reconnect_gather_s=30.0)
    stream = come_back(made, BACKEND)
    come_back(made, OTHER)
    assert zone_report.report_of(made.state).pending == len(made.state.dirty) == 2
    made.lose(stream)
    assert (zone_report.report_of(made.state).pending, len(made.state.dirty)) == (1, 2)
    made.tick(10.1)
    assert "default.backend" not in made.state.proxies
    assert zone_report.report_of(made.state).pending == len(made.state.dirty) == 1


def test_the_times_to_gather_fit_together() -> None:
    """Envoy waits half a minute between two tries at most; the global waits for zones that lost
    their stores, too, and a zone for a global that did.
    """
    ours, of_global = settings(), GlobalSettings(instance="g", version="0").gather_s
    dials_within = float(str(next(f.default for f in fields(Dial) if f.name == "backoff_max_s")))
    longest = ours.reconnect_gather_s * zone_gather.LONGEST
    assert ours.reconnect_gather_s >= DIALS_LAST_S
    assert of_global > dials_within + longest
    assert ours.relayed_gather_s > of_global + longest
