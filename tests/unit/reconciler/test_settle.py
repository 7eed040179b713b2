"""Before a zone serves, the collector is told what stays."""

from __future__ import annotations

import gc
import inspect

from reconciler.zone_cp import process


def test_collector_passes_over_what_the_start_has_made() -> None:
    before = gc.get_freeze_count()
    try:
        process.settle()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_a_zone_settles_once_it_is_warm_and_before_it_serves() -> None:
    lines = inspect.getsource(process.serve)
    assert lines.index("warm_up()") < lines.index("settle()") < lines.index("AdsServer(")
