"""What `make bench-quick` fails on: counters, and ratios to floors of the same run; no seconds."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from tests.bench import __main__ as bench
from tests.bench.figures import Figure, Scale, at_most, times_floor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_counter_beyond_its_limit_is_told() -> None:
    figure = Figure(key="rebuilt.no_policy", values=(0.0, 2.0), unit="resources")
    assert at_most(2)(figure) == ""
    assert at_most(0)(figure) == "max is 2; at most 0 is right"
    assert at_most(1, "p50")(figure) == ""


def test_the_least_of_both_are_judged_and_no_run_that_was_slow() -> None:
    figure = Figure(key="push", values=(60.0, 70.0, 9000.0), unit="ms", floor=(30.0, 35.0, 40.0))
    assert times_floor(2)(figure) == ""
    assert times_floor(1.5)(figure) == "the least, 60.0, is 2.0 times its floor 30.0; at most 1.5"


@pytest.mark.parametrize("unit", ["ms", "s", "CPU ms", "us CPU", "cores"])
def test_no_limit_can_be_put_on_a_time(unit: str) -> None:
    with pytest.raises(AssertionError, match=f"judges no {unit}"):
        at_most(100)(Figure(key="push", values=(1.0,), unit=unit))


def test_what_is_quick_is_there() -> None:
    assert set(bench.QUICK) <= bench.BENCHES.keys()


# --- the command ---


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`python -m tests.bench` with one bench, which finds `figure`; processes are calls."""

    def run(figure: Figure, *options: str) -> int:
        async def measure(scale: Scale) -> list[Figure]:
            assert scale.quick
            return [figure]

        module: Any = ModuleType("tests.bench.one")
        module.measure = measure
        monkeypatch.setitem(sys.modules, "tests.bench.one", module)
        monkeypatch.setattr(bench, "BENCHES", {"one": "one"})
        monkeypatch.setattr(bench, "QUICK", ("one",))
        monkeypatch.setattr(subprocess, "run", as_process)
        return called(["bench", "--quick", "--out", str(tmp_path / "bench.json"), *options])

    def as_process(line: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        try:
            code = called(line[2:])
        except AssertionError:
            code = 1
        return subprocess.CompletedProcess(line, code)

    def called(line: list[str]) -> int:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", line)
            return bench.main()

    return run


WRONG = Figure(key="rebuilt.no_policy", values=(3.0,), unit="resources", check=at_most(0))
RIGHT = Figure(key="rebuilt.no_policy", values=(0.0,), unit="resources", check=at_most(0))
SLOW = Figure(
    key="push", values=(999.0,), unit="ms", floor=(998.0,), goal=1.0, check=times_floor(9)
)


def test_a_check_that_does_not_hold_fails_the_command(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(WRONG, "--check") == 1
    assert "rebuilt.no_policy: max is 3; at most 0 is right" in capsys.readouterr().err


def test_without_check_it_is_told_only(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(WRONG) == 0
    assert "rebuilt.no_policy: max is 3" in capsys.readouterr().err


def test_a_goal_that_is_not_met_on_a_slow_machine_fails_nothing(
    command: Callable[..., int],
) -> None:
    assert command(SLOW, "--check") == 0
    assert command(RIGHT, "--check") == 0


def test_a_bench_that_ends_in_an_error_fails_the_command(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    judged = Figure(key="push", values=(1.0,), unit="ms", check=at_most(1))
    assert command(judged, "--check") == 1
    assert "one: FAILED" in capsys.readouterr().err
