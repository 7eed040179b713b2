"""Limits of what is read of a repository: at each, beyond each, and who may set them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.cli.main import main
from reconciler.limits import DEFAULT, Limits
from reconciler.load import Blob, LoadMemo, load
from reconciler.steps import global_state as g
from tests.support.git_repos import PolicyRepo
from tests.unit.load.test_revision_loader import outcome

if TYPE_CHECKING:
    from pathlib import Path

MESH = "type: Mesh\nname: default\n"
TWO = f"---\n{MESH}---\ntype: Mesh\nname: second\n"
# What is in the repository besides reconciler.yaml, and the limits it just fits into.
FITS = {
    "blobBytes": ({"mesh.yaml": MESH + "#" * (200 - len(MESH))}, 200),
    "treeEntries": ({"mesh.yaml": MESH, "a/README": "", "b/README": ""}, 7),  # with its trees
    "treeDepth": ({"a/b/mesh.yaml": MESH}, 3),
    "documents": ({"mesh.yaml": TWO}, 2),
}
FIELD = {"blobBytes": "blob_bytes", "treeEntries": "tree_entries", "treeDepth": "tree_depth"}
KEYS = list(FITS)


def with_settings(key: str, value: int) -> dict[str, str]:
    return {**FITS[key][0], "reconciler.yaml": f"limits: {{{key}: {value}}}\n"}


def refusal_of(event: g.Event) -> str:
    assert isinstance(event, g.LoadRejected), event
    (problem,) = event.problems
    return problem.message


@pytest.mark.parametrize("key", KEYS)
def test_repository_at_its_own_limit_is_read_and_beyond_it_is_not(tmp_path: Path, key: str) -> None:
    most = FITS[key][1]
    assert isinstance(outcome(tmp_path / "at", with_settings(key, most)), g.Loaded)
    said = refusal_of(outcome(tmp_path / "beyond", with_settings(key, most - 1)))
    assert f"limits.{key} in reconciler.yaml" in said
    assert "--limit-" in said


@pytest.mark.parametrize("key", KEYS)
def test_operators_limit_holds_without_any_setting(tmp_path: Path, key: str) -> None:
    files, most = FITS[key]
    most -= key == "treeEntries"  # no reconciler.yaml here
    field = FIELD.get(key, key)
    at, beyond = (Limits(**{field: value}) for value in (most, most - 1))
    assert isinstance(outcome(tmp_path / "at", files, at), g.Loaded)
    assert f"limits.{key}" in refusal_of(outcome(tmp_path / "beyond", files, beyond))


@pytest.mark.parametrize("key", KEYS)
def test_repository_cannot_lift_its_own_limits_over_the_operators(tmp_path: Path, key: str) -> None:
    most = FITS[key][1]
    operator = Limits(**{FIELD.get(key, key): most})
    event = outcome(tmp_path, with_settings(key, most + 1), operator)
    assert isinstance(event, g.LoadRejected)
    (problem,) = event.problems
    assert (problem.code, problem.at.path) == ("SET002", "reconciler.yaml")
    assert f"this global allows at most {most}" in problem.message


def test_asking_for_more_than_allowed_reads_no_more_than_allowed() -> None:
    """What is over the limit is told as well, not read."""
    blobs = {
        "reconciler.yaml": Blob("1", b"limits: {documents: 5000}\n"),
        "a.yaml": Blob("2", b"---\na: b\n" * 1001),
    }
    codes = {problem.code for problem in load(blobs, LoadMemo()).problems}
    assert {"SET002", "SRC005"} <= codes


def test_files_are_read_again_when_the_limits_move(tmp_path: Path) -> None:
    memo = LoadMemo()
    big = Blob("a", b"---\na: b\n" * 3)
    wide = load({"a.yaml": big}, memo, Limits(documents=3))
    narrow = load({"a.yaml": big}, memo, Limits(documents=2))
    assert "SRC005" not in {p.code for p in wide.problems}
    assert "SRC005" in {p.code for p in narrow.problems}


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "many", "[1]", "true"])
def test_limit_that_is_none_is_refused_where_it_stands(value: str) -> None:
    text = f"limits: {{treeDepth: {value}}}\n".encode()
    (problem,) = load({"reconciler.yaml": Blob("1", text)}, LoadMemo()).problems
    assert (problem.at.line, problem.at.column) == (1, 21)


def test_commands_have_the_same_limits_as_the_global(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = PolicyRepo.create(tmp_path, with_settings("documents", DEFAULT.documents + 1))
    for where in ([str(repo.work)], [str(repo.bare), "--rev", "main"]):
        assert main(["validate", *where]) == 1
        assert "SET002" in capsys.readouterr().out
        assert main(["validate", *where, "--limit-documents", "2000"]) == 0
    assert main(["validate", str(repo.work), "--limit-documents", "1"]) == 1


@pytest.mark.parametrize("option", ["--limit-documents=0", "--limit-tree-depth=257"])
def test_option_that_is_no_limit_is_refused(option: str) -> None:
    with pytest.raises(SystemExit):
        main(["validate", option])
