"""docs/how-to/explain-a-value.md, step by step: its files are written, its commands give the
answers that it shows.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli.main import main

if TYPE_CHECKING:
    import pytest

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "explain-a-value.md"
FILE = r"`((?:repo/)?[\w-]+\.yaml)`[^`]*?\n\n```yaml\n(.*?)```"
ANSWER = r"```sh\nreconciler (.*?)\n```\n\n```text\n(.*?)```"
STEP = re.compile(f"{FILE}|{ANSWER}", re.DOTALL)


def test_the_page_is_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "repo").mkdir()
    monkeypatch.chdir(tmp_path)
    seen = 0
    for file, text, command, answer in STEP.findall(PAGE.read_text()):
        if file:
            Path(file).write_text(text)
            continue
        assert main(shlex.split(command)) == 0
        assert capsys.readouterr().out == answer
        seen += 1
    assert seen == PAGE.read_text().count("```sh\n") == 3
