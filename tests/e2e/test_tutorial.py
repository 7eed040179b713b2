"""docs/tutorials/first-pull-request.md does what it says, and shows what is printed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.forges import TOKEN, forge
from tests.support.pages import ROOT, typed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
PAGE = ROOT / "docs" / "tutorials" / "first-pull-request.md"


def shown() -> list[str]:
    """What the page shows of the output; `…` stands for what is left out."""
    text = PAGE.read_text()
    blocks = re.sub(r"^```sh\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line[4:] for line in blocks.splitlines() if line.startswith("    ") and line.strip()]
    return [line for line in lines if line.strip() != "…"]


def test_the_tutorial_works_as_typed_and_prints_what_it_shows(tmp_path: Path) -> None:
    with forge("github") as state:
        job = {
            "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/mesh",
            "GITHUB_API_URL": state.base, "GITHUB_REF": "refs/pull/12/merge",
            "GITHUB_TOKEN": TOKEN,
        }  # fmt: skip
        done = typed(PAGE, tmp_path, job)
        comments = [body for _, _, body in state.comments]
    assert done.status == 0, f"{done.out}\n{done.logs}"
    lines = [re.sub(r"/tmp/\S+/mesh/", "", line) for line in done.out.splitlines()]
    for line in shown():
        pattern = ".*".join(map(re.escape, line.split("…")))
        assert any(re.fullmatch(pattern, each) for each in lines), f"{line!r} in {done.out}"
    assert re.search(r"arrived: all proxies of 1 zones? have it", done.out)
    assert done.out.count("hello\n") == 2
    (comment,) = comments
    assert "15s → 5s" in comment
