"""A plan that is remembered is that of the same question: everything a plan depends on is in its
key.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import pytest

from reconciler.cli.plan import _key, add_parser
from reconciler.git.proposals import Proposal
from reconciler.load import Blob
from reconciler.reading.asked import Ahead

ONE, TWO = (Blob("", text) for text in (b"one", b"two"))
FOUND = Proposal("c1", "c2", {"a": ONE, "b": ONE}, {"a": ONE, "b": TWO})
REFS = {"east": {"applied.yaml": b"revision: c1\n"}}


def key(*options: str, found: Proposal = FOUND, refs: dict[str, dict[str, bytes]] = REFS) -> bytes:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return _key(parser.parse_args(["plan", *options]), found, refs, Ahead(processes=1, program="p"))


@pytest.mark.parametrize(
    "other",
    [
        key("--format", "json"),
        key("--xds"),
        key("--post"),
        key(found=replace(FOUND, base="c0")),
        key(found=replace(FOUND, head="c3")),
        key(found=replace(FOUND, after={"a": ONE, "b": ONE})),
        key(found=replace(FOUND, after={"b": TWO})),
        key(found=replace(FOUND, before={"a": TWO, "b": ONE})),
        key(refs={"east": {"applied.yaml": b"revision: c2\n"}}),
        key(refs={"west": REFS["east"]}),
        key(refs={}),
    ],
    ids=[
        "format", "xds", "post", "base", "head", "fewer changes", "a file goes", "another base",
        "another status", "another zone", "no zone",
    ],
)  # fmt: skip
def test_another_question_has_another_key(other: bytes) -> None:
    assert other != key()
