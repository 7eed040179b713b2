"""What the metrics say of a control plane's state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from rpds import HashTrieMap

from reconciler.figures import (
    ProcessFigures,
    global_figures,
    probe_figures,
    process_figures,
    zone_figures,
)
from reconciler.kds.manifest import ConvergenceReport
from reconciler.steps import global_state as g
from reconciler.steps.zone_record import ZoneRecord
from reconciler.steps.zone_report import report_of
from tests.support.global_plane import MISTAKE, revision
from tests.support.zone import MESH, dataplane, zone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.figures import Figure, Labels

SETTINGS = g.GlobalSettings(instance="g", version="1")


def values(figures: Iterable[Figure]) -> dict[str, dict[Labels, float]]:
    return {figure.name: dict(figure.samples) for figure in figures}


def test_a_global_without_a_revision_says_so_and_names_no_zone() -> None:
    found = values(global_figures(g.GlobalState(settings=SETTINGS)))
    assert found["reconciler_revision_info"] == {(("revision", ""),): 0}
    assert found["reconciler_repository_up"] == {(): 1}
    assert found["reconciler_zone_connected"] == {}


def test_a_global_tells_of_each_zone_and_of_the_commit_that_is_not_in_force() -> None:
    report = ConvergenceReport("c1", total=5, acked=3, pending=1, rejected=1)
    east = ZoneRecord("east", connected_at=1.0, report=report)
    west = ZoneRecord("west", connected_at=1.0, disconnected_at=2.0)
    behind = ZoneRecord("north", connected_at=1.0, report=replace(report, revision="c0"))
    state = g.GlobalState(
        settings=SETTINGS,
        published=revision("c1"),
        rejected=g.Rejected("c2", (MISTAKE,)),
        fetch_error="away",
        zones=HashTrieMap({z.name: z for z in (east, west, behind)}),
    )
    found = values(global_figures(state))
    assert found["reconciler_revision_info"] == {(("revision", "c1"),): 1}
    assert found["reconciler_commit_rejected"] == {(): 1}
    assert found["reconciler_commit_problems"] == {(): 1}
    assert found["reconciler_repository_up"] == {(): 0}
    up = {labels[0][1]: value for labels, value in found["reconciler_zone_connected"].items()}
    assert up == {"east": 1, "north": 1, "west": 0}
    current = {labels[0][1]: value for labels, value in found["reconciler_zone_current"].items()}
    assert current == {"east": 1, "north": 0}  # west has not said
    assert found["reconciler_zone_proxies"][("zone", "east"), ("state", "acknowledged")] == 3
    assert found["reconciler_zone_proxies"][("zone", "east"), ("state", "rejected")] == 1


def test_a_zone_counts_its_proxies_and_what_was_built_for_them() -> None:
    made = zone(MESH)
    before = values(zone_figures(made.state, report_of(made.state)))
    assert before["reconciler_proxies_registered"] == {(): 0}
    assert before["reconciler_global_up"] == {(): 0}
    made.connect(dataplane("a-1", "a"))
    after = values(zone_figures(made.state, report_of(made.state)))
    assert after["reconciler_proxies_registered"] == {(): 1}
    assert sum(after["reconciler_proxies"].values()) == 1
    assert sum(after["reconciler_built"].values()) > 0


def test_a_zone_counts_what_became_of_asking_other_zones() -> None:
    found = values(probe_figures({"silent": 2, "answered": 7}, 1))
    assert found["reconciler_ingresses_silent"] == {(): 1}
    assert found["reconciler_ingress_probes"] == {
        (("result", "answered"),): 7, (("result", "silent"),): 2
    }  # fmt: skip


@pytest.mark.parametrize(("error", "up"), [("", 1), ("disk full", 0)])
def test_the_process_tells_its_events_its_loop_and_its_disk(error: str, up: float) -> None:
    process = ProcessFigures("zone", "1.2", {"b": 2, "a": 1}, 12.5, 3, error, 7)
    found = values(process_figures(process))
    assert found["reconciler_build_info"] == {(("role", "zone"), ("version", "1.2")): 1}
    assert found["reconciler_events"] == {(("event", "a"),): 1, (("event", "b"),): 2}
    assert found["reconciler_loop_longest_turn_seconds"] == {(): 0.0125}
    assert found["reconciler_loop_stalls"] == {(): 3}
    assert found["reconciler_store_up"] == {(): up}
    assert found["reconciler_store_waiting"] == {(): 7}
