"""What is generated is what the schemas say: regenerating changes nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TARGET = re.search(r"^protos:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)


def recipe() -> list[list[str]]:
    """The Makefile's own protoc commands, less the tools' folder."""
    assert TARGET is not None
    lines = [line.strip().split() for line in TARGET[1].splitlines()]
    return [words[1:] for words in lines if words[0] == "$(BIN)/python"]


@pytest.mark.parametrize("arguments", recipe(), ids=lambda words: str(words[-1]))
def test_regenerating_changes_nothing(arguments: list[str], tmp_path: Path) -> None:
    moved = [re.sub(r"(--python_out|--pyi_out)=.*", rf"\1={tmp_path}", a) for a in arguments]
    subprocess.run([sys.executable, *moved], cwd=ROOT, check=True, timeout=60)
    folder = next(a.partition("=")[2] for a in arguments if a.startswith("--python_out="))
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(path.name for path in (ROOT / folder).glob("*_pb2.py*"))
    for name in made:
        assert (tmp_path / name).read_text() == (ROOT / folder / name).read_text(), name
