"""Files that mean harm: items C17 to C22 of `facts/anchors.md` 3.3, and the classes of issue 4.

Each is a problem with its place, within a bounded time; what else the commit holds is judged too.
The index of all items stands in tests/unit/git/test_hostile_repositories.py.
"""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.load import MESSAGE_MAX, Blob, LoadMemo, load
from reconciler.problems import Severity
from reconciler.schema import _pattern

if TYPE_CHECKING:
    from reconciler.problems import Problem

MESH = b"type: Mesh\nname: default\n"
BOUND_S = 5.0  # generous: the machine may be busy; without limits these take minutes or hours


def problems(data: bytes, path: str = "a.yaml") -> tuple[Problem, ...]:
    started = time.monotonic()
    found = load({"mesh.yaml": Blob("", MESH), path: Blob("", data)}, LoadMemo()).problems
    assert time.monotonic() - started < BOUND_S
    assert all(len(problem.message) < 2 * MESSAGE_MAX for problem in found)
    return found


def codes(data: bytes) -> set[str]:
    return {p.code for p in problems(data) if p.severity is Severity.ERROR}


def timeout(value: object, name: str = "t") -> bytes:
    spec = {
        "targetRef": {"kind": "Mesh"},
        "to": [{"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": value}}],
    }
    document = {"type": "MeshTimeout", "mesh": "default", "name": name, "spec": spec}
    return json.dumps(document).encode()


def route(regex: str) -> bytes:
    match = {"path": {"type": "RegularExpression", "value": regex}}
    to = {"targetRef": {"kind": "MeshService", "name": "b"}}
    spec = {
        "targetRef": {"kind": "Mesh"},
        "to": [{**to, "rules": [{"matches": [match], "default": {}}]}],
    }
    document = {"type": "MeshHTTPRoute", "mesh": "default", "name": "r", "spec": spec}
    return json.dumps(document).encode()


BOMB = b"a: &a [x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(ord("b"), ord("j"))
)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"type: [", "SRC001"),
        (b"\tx: 1", "SRC001"),
        (b"\xff\xfe" + "type: Mesh".encode("utf-16-le"), "SRC001"),
        (b"a: \x00", "SRC001"),
        (BOMB, "SRC004"),
        (b"a: &x 1\nb: *x\n", "SRC004"),
        (b"a: {<<: {b: 1}}\n", "SRC004"),
        (b"a: !!python/object/apply:os.system ['touch evil']\n", "SRC006"),
        (b"a: !!binary aGk=\n", "SRC006"),
        (b"a: 1\na: 2\n", "SRC007"),
        (b"1: a\n", "SRC001"),
        (b"[a]: b\n", "SRC001"),
        (b"? {a: b}\n: c\n", "SRC001"),
        (b"a: 1e400\n", "SRC011"),
        (b"a: 18446744073709551616\n", "SRC011"),
        (b"a: " + b"9" * 5000, "SRC011"),
        (b"[" * 10_000, "SRC003"),
        (b"- " * 10_000, "SRC003"),
        (b"{a: " * 10_000, "SRC003"),
        (b"---\n" * 100_000, "SRC005"),
        (b"- " * 500_000, "SRC003"),
        (b"%YAML 9.9\n---\na: b\n", "SRC001"),
    ],
    ids=lambda part: repr(part[:24]),
)
def test_c17_c18_file_that_is_no_plain_document_is_refused(data: bytes, code: str) -> None:
    found = codes(data)
    assert found
    if code != "SRC001":
        assert code in found


@pytest.mark.parametrize("value", [b".nan", b".inf", b"2001-12-14", b"0x1F", b"017", b"1_000"])
def test_c18_words_that_other_readers_take_for_numbers_are_text(value: bytes) -> None:
    data = b"type: Mesh\nname: m\nconstraints: {dataplaneProxy: {requirements: [{tags: {a: %s}}]}}"
    assert codes(data % value) == set()


def test_c19_no_reference_is_ever_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("somebody dials")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for target in ("http://169.254.169.254/latest", "file:///etc/passwd", "#/definitions/x"):
        document = {"type": "Mesh", "name": "m", "$ref": target, "$schema": target, "$id": target}
        found = problems(json.dumps(document).encode())
        assert {p.code for p in found} == {"SCH005"}  # just a field nobody knows
        assert not any("root:" in p.message for p in found)


LONG = 200_000
MOMENT_S = 20.0  # of processor time, 2 at most on a slow machine; what goes back takes hours


@pytest.mark.parametrize(
    "regex",
    [
        "(a+)+$", "(" * 5000 + ")" * 5000, "a{1000}" * 280, "(?:(?:a{1000}){1000}){1000}",
        "[" * LONG, "\\" * LONG, "(?" * LONG, "a" * LONG, "(x*)*" * LONG, "{" + "0" * LONG,
        "[a&&[b" * LONG, "(a|" * LONG,
    ],
    ids=lambda text: repr(text[:16]),
)  # fmt: skip
def test_c20_expression_takes_no_time_here_however_it_is_written(regex: str) -> None:
    """It is compiled, never matched here; Envoy's engine does not go back."""
    began = time.process_time()
    found = problems(route(regex))
    assert time.process_time() - began < MOMENT_S
    assert all(len(problem.message) < LONG for problem in found)


@pytest.mark.parametrize(
    "value",
    ["1" * LONG, "1." * LONG, "1s" * LONG + "!", "." * LONG, "1ms" * LONG + "x", "-" * LONG,
     "1" * 201],
    ids=lambda text: repr(text[:8]),
)  # fmt: skip
def test_c20_c21_duration_of_any_length_is_refused_at_once(value: str) -> None:
    (problem,) = problems(timeout(value))
    assert problem.severity is Severity.ERROR


def test_c21_unreadable_duration_hides_no_other_problem_of_its_kind() -> None:
    blobs = {
        "mesh.yaml": Blob("", MESH),
        "a.yaml": Blob("", timeout("soon", "a")),
        "b.yaml": Blob("", timeout("1s", "b")),
        "c.yaml": Blob("", timeout(["x"], "c")),
    }
    loaded = load(blobs, LoadMemo())
    assert {p.at.path for p in loaded.problems} == {"a.yaml", "c.yaml"}
    assert "b" in {resource.key.name for resource in loaded.resources}


@pytest.mark.parametrize(
    "name",
    [
        "n" * 254, "n" * LONG, "Web", "w\u0435b", "web\u200b", "we\u0301b", "web ", " web", "a/b",
        "../x", "web\n", "\u202eweb", "", "w\u0000b", "\uff57\uff45\uff42",
    ],
    ids=lambda text: repr(text[:10]),
)  # fmt: skip
def test_c22_name_that_looks_like_another_or_is_too_long_is_refused(name: str) -> None:
    assert codes(timeout("1s", name)) in ({"DOC003"}, {"SRC001"})


def test_c22_longest_name_is_taken() -> None:
    assert codes(timeout("1s", "n" * 253)) == set()


@pytest.mark.parametrize("label", ["k" * 64, "k" * LONG, "a-" * LONG + "!", "\u0430"])
def test_c22_label_that_a_zone_cannot_hold_is_told(label: str) -> None:
    for labels in ({label: "x"}, {"x": label}):
        document = json.loads(timeout("1s")) | {"labels": labels}
        (code,) = {p.code for p in problems(json.dumps(document).encode())}
        assert code in ("DOC011", "SRC001")  # the second: no key has over 1,024 characters


@pytest.mark.parametrize("type_", ["meshtimeout", "MESHTIMEOUT", "Mesh\u0422imeout", "x" * LONG, 7])
def test_type_that_is_nearly_one_is_refused(type_: object) -> None:
    document = json.loads(timeout("1s")) | {"type": type_}
    assert codes(json.dumps(document).encode()) & {"DOC001", "DOC002"}


def test_message_quotes_no_megabyte_and_keeps_its_cure() -> None:
    (problem,) = problems(timeout("x" * LONG))
    assert len(problem.message) < 2 * MESSAGE_MAX


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=30).map(lambda text: f"{text}.yaml"),
        st.tuples(
            st.one_of(st.none(), st.binary(max_size=200), st.text(max_size=200).map(str.encode)),
            st.one_of(
                st.sampled_from([0o100644, 0o120000, 0o160000, 0o040000]), st.integers(0, 2**31)
            ),
        ),
        max_size=6,
    ),
    st.binary(max_size=80),
)
def test_no_tree_stops_the_loader(files: dict[str, tuple[bytes | None, int]], own: bytes) -> None:
    """Any names, contents and modes: problems, never an exception."""
    blobs = {path: Blob("", data, mode) for path, (data, mode) in files.items()}
    for name in ("reconciler.yaml", "secrets.yaml"):
        blobs[name] = Blob("", own)
    found = load(blobs, LoadMemo()).problems
    assert all(problem.message.isprintable() for problem in found)


@pytest.mark.parametrize(("length", "refused"), [(4096, False), (4097, True)])
def test_c20_text_whose_form_is_checked_has_a_longest(length: int, refused: bool) -> None:
    """Some forms take more than linear time to check."""
    assert bool(list(_pattern(None, "^[a-z]+$", "h" * length, None))) is refused
