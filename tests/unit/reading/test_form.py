"""A file's result as bytes: all of it comes back, nothing else is taken, and its key is everything
that it depends on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.limits import DEFAULT, Limits
from reconciler.load import Blob, read_file
from reconciler.problems import Position, Problem, Severity
from reconciler.reading.form import decoded, encoded
from reconciler.reading.keys import (
    Keys,
    Outcome,
    content_id,
    decoded_outcome,
    encoded_outcome,
    may_be_kept,
)
from reconciler.verdict import Read
from tests.bench import policies

VERDICTS = Path(__file__).parents[2] / "verdicts"
SECRET_MESH = b"""\
type: Mesh
name: default
mtls:
  enabledBackend: ca
  backends:
  - {name: ca, type: provided, conf: {cert: {secret: c}, key: {secret: k}}}
"""


def contents() -> list[bytes]:
    found = [policies.policy(number).encode() for number in range(len(policies.KINDS))]
    found += [SECRET_MESH, b"a: [", b"type: Nothing\nname: x\n", b"---\n", policies.MESH.encode()]
    for file in sorted(VERDICTS.glob("*.yaml")):
        cases = yaml.load_all(file.read_text(), yaml.CSafeLoader)
        found += [yaml.dump(case["document"], Dumper=yaml.CSafeDumper).encode() for case in cases]
    return found


@pytest.mark.parametrize("strict", [True, False])
def test_what_a_file_was_read_as_comes_back_whole(strict: bool) -> None:
    for data in contents():
        read = read_file("a/b.yaml", Blob("", data), strict=strict, limits=DEFAULT)
        back = decoded(encoded(read), "a/b.yaml")
        assert back == read
        assert [p.at.field for p in back.problems] == [p.at.field for p in read.problems]


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())))
def test_other_bytes_are_no_result_and_no_exception(data: bytes) -> None:
    assert decoded(data, "a.yaml") in (None, Read())
    found = decoded_outcome(data)
    assert found is None or found.problems == ()


def test_bytes_in_which_one_is_another_never_pass_for_more_than_a_result() -> None:
    read = read_file("a.yaml", Blob("", SECRET_MESH), strict=False, limits=DEFAULT)
    whole = encoded(read)
    for place in range(len(whole)):
        for wrong in (b"[", b'"', b"}", b"\xff"):
            found = decoded(whole[:place] + wrong + whole[place + 1 :], "a.yaml")
            assert found is None or isinstance(found, Read)


def test_an_outcome_comes_back_whole() -> None:
    at = Position("a\ud800.yaml", 3, 4, "spec.to[0]")
    outcome = Outcome(7, (Problem(at, "MT001", "no; yes", Severity.WARNING),))
    back = decoded_outcome(encoded_outcome(outcome))
    assert back == outcome
    assert back.problems[0].at.field == "spec.to[0]"


def test_c32_the_key_changes_with_everything_that_a_verdict_depends_on() -> None:
    """Another program, strictness, limit, path, mode or content: never the same row."""
    blob, other = Blob("1" * 40, b"a: 1\n"), Blob("1" * 40, b"a: 2\n")  # a collision of SHA-1

    def key(
        program: str = "p", *settings: object, path: str = "a.yaml", content: Blob = blob
    ) -> bytes:
        return Keys(program, *settings).of_file(path, content)

    found = [
        key(),
        key("q"),
        key("p", "file", True, DEFAULT),
        key("p", "file", False, DEFAULT),
        key("p", "file", False, Limits(documents=7)),
        key("p", "outcome", DEFAULT),
        key(path="b.yaml"),
        key(content=other),
        key(content=Blob(blob.oid, blob.data, 0o120000)),
        key(content=Blob(blob.oid, None)),
        Keys("p").of_all({"a.yaml": blob, "b.yaml": other}),
        Keys("p").of_all({"a.yaml": other, "b.yaml": blob}),
    ]
    assert len(set(found)) == len(found)


def test_the_name_of_a_file_by_content_is_what_its_content_says() -> None:
    data = b"type: Mesh\n"
    assert Keys("p").of_file("a", Blob(content_id(data), data)) == Keys("p").of_file(
        "a", Blob("2" * 40, data)
    )


@pytest.mark.parametrize(
    "word", [b"inline", b"inlineString", b"Inline", b"clientKey", b"a PRIVATE KEY"]
)
def test_e27_what_may_hold_a_plain_secret_is_not_kept(word: bytes) -> None:
    assert may_be_kept(Blob("1", b"type: Mesh\n"))
    assert not may_be_kept(Blob("1", b"key: {%s: c2VjcmV0}\n" % word))
    assert not may_be_kept(Blob("1", None))
    assert not may_be_kept(Blob("", b"type: Mesh\n"))
