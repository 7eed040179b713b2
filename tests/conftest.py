"""Rules of every test run: profiles, the options of the suite, and no silent skips in CI.

- `--seed N` replays one seed of the simulator.
- `--golden` rewrites the expected files of the golden tests (`make golden`).
- With CI set, a skipped test is a failed test: what cannot run there proves nothing.
- The Makefile runs the suite under a random PYTHONHASHSEED, named in the header.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from reconciler.runtime.grpc_core import configure

if TYPE_CHECKING:
    from collections.abc import Generator

# Several control planes run on one machine here; what is tested on it names its port.
os.environ.setdefault("RECONCILER_DIAGNOSTICS_PORT", "0")
os.environ.setdefault("RECONCILER_PROXY_PORT", "0")
os.environ.setdefault("RECONCILER_API_PORT", "off")
os.environ.setdefault("RECONCILER_API_PLAIN_PORT", "off")
os.environ.setdefault("RECONCILER_NO_CACHE", "1")  # that of whoever runs the tests is not ours
configure()
IN_CI = bool(os.environ.get("CI"))

# Deadlines measure the machine, not the code; two cores are shared with real Envoys here.
settings.register_profile(
    "dev", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("ci", parent=settings.get_profile("dev"), max_examples=200)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("mesh-reconciler")
    group.addoption("--seed", type=int, default=None, help="replay this seed of the simulator")
    group.addoption("--golden", action="store_true", help="rewrite expected files")


def pytest_report_header() -> str:
    return f"PYTHONHASHSEED={os.environ.get('PYTHONHASHSEED', 'random')} ci={IN_CI}"


@pytest.fixture(scope="session")
def rewrite_golden(request: pytest.FixtureRequest) -> bool:
    """True when the run shall write expected files instead of comparing with them."""
    return bool(request.config.getoption("--golden"))


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.outcome == "skipped" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure in CI: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report
