"""The gate tells the truth: a skip fails there, and its last line counts both test runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason="no such machine")
def test_skips():
    pass

@pytest.mark.xfail(reason="known", strict=True)
def test_fails_as_expected():
    assert False
"""
REPORT = '<testsuites><testsuite tests="{t}" failures="{f}" errors="{e}" skipped="0"/></testsuites>'
MAKEFILE = """
check:
\t{check}
test:
\tmkdir -p build; cp test.xml build/junit-test.xml; {test}
test-system:
\tmkdir -p build; cp system.xml build/junit-system.xml; {system}
"""


def run_pytest(folder: Path, ci: str) -> str:
    """The output of a run of `folder` under our conftest; its last line is the summary."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout


@pytest.mark.parametrize(
    ("ci", "summary"),
    [("", "1 passed, 1 skipped, 1 xfailed"), ("true", "1 passed, 1 xfailed, 1 error")],
)
def test_a_skip_is_a_failure_in_ci(tmp_path: Path, ci: str, summary: str) -> None:
    """What is expected to fail may still fail: that was decided in the tree."""
    (tmp_path / "test_suite.py").write_text(SUITE)
    output = run_pytest(tmp_path, ci)
    assert output.splitlines()[-1].startswith(summary), output
    assert ("skipped, which is a failure in CI" in output) == bool(ci)


def test_a_module_that_skips_itself_is_a_failure_in_ci(tmp_path: Path) -> None:
    (tmp_path / "test_absent.py").write_text("import pytest\npytest.importorskip('absent')\n")
    assert "1 skipped" in run_pytest(tmp_path, "")
    assert "1 error" in run_pytest(tmp_path, "true")


GATES = [
    # make check, make test, make test-system; tests, failures, errors; the last line
    ("true", "true", "true", (7, 0, 0), "10 passed, 0 failed"),
    ("false", "true", "true", (7, 0, 0), "10 passed, 1 failed"),
    ("true", "false", "true", (7, 2, 1), "7 passed, 3 failed"),
    ("true", "rm build/junit-test.xml; false", "true", (7, 0, 0), "3 passed, 1 failed"),
    ("true", "true", "kill -9 $$$$", (7, 0, 0), "10 passed, 1 failed"),
]


@pytest.mark.parametrize(("check", "test", "system", "counts", "last"), GATES)
def test_the_gate_ends_with_the_count(
    tmp_path: Path, check: str, test: str, system: str, counts: tuple[int, int, int], last: str
) -> None:
    tests, failures, errors = counts
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "test.xml").write_text(REPORT.format(t=tests, f=failures, e=errors))
    (tmp_path / "system.xml").write_text(REPORT.format(t=3, f=0, e=0))
    makefile = MAKEFILE.format(check=check, test=test, system=system)
    (tmp_path / "Makefile").write_text(makefile)
    result = subprocess.run([tmp_path / ".ci" / "run"], capture_output=True, text=True, check=False)
    assert result.stdout.splitlines()[-1] == last, result.stdout + result.stderr
    assert result.returncode == (0 if last.endswith(" 0 failed") else 1)
