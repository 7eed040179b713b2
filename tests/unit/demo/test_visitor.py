"""Where the demo may have a program in a network of its own, and what it says where it may not."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from reconciler.cli.main import main
from reconciler.demo import visitor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def able(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    return monkeypatch


def test_root_with_the_programs_of_linux_may(able: pytest.MonkeyPatch) -> None:
    assert able is not None
    assert visitor.missing() == ""
    assert visitor.program()[0] == "curl"


def test_what_is_missing_is_named(able: pytest.MonkeyPatch) -> None:
    able.setattr(shutil, "which", lambda name: None if name in ("ip", "curl") else name)
    assert visitor.missing().startswith("it needs ip on PATH")
    assert visitor.program()[0] == sys.executable
    able.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in visitor.missing()
    able.setattr(sys, "platform", "darwin")
    assert "needs Linux" in visitor.missing()


def test_where_it_may_not_nothing_is_started(
    able: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    able.setattr(os, "geteuid", lambda: 1000)
    assert main(["demo", "--transparent", "--once", "--dir", str(tmp_path / "d")]) == 2
    assert "--transparent: it needs root" in capsys.readouterr().out
    assert not (tmp_path / "d").exists()
