"""A file of one document, such as a Dataplane: read whole, or refused with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.source.single import SourceError, single_document

if TYPE_CHECKING:
    from pathlib import Path


def test_the_document_is_read(tmp_path: Path) -> None:
    file = tmp_path / "dp.yaml"
    file.write_text("---\ntype: Dataplane\nname: web\n")
    assert single_document(file) == {"type": "Dataplane", "name": "web"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: 1\na: 2\n", r"dp\.yaml:2:1: SRC007 the key"),
        ("a: 1\n---\nb: 2\n", r"must hold one document, an object; it holds 2"),
        ("- a\n", r"must hold one document, an object"),
        ("", r"it holds 0"),
    ],
)
def test_what_is_not_one_document_is_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "dp.yaml"
    file.write_text(text)
    with pytest.raises(SourceError, match=told):
        single_document(file)
