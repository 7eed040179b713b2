"""`reconciler validate` over a whole repository: on all cores, with its cache, and with a bar."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.cli.main import main
from reconciler.cli.reading import BAR_AFTER_S, _Bar
from reconciler.load import Blob, read_file
from reconciler.reading import ahead
from reconciler.reading.cache import FILE
from tests.bench import policies

if TYPE_CHECKING:
    from reconciler.verdict import Read

ROOT = Path(__file__).parents[3]
BROKEN = "type: MeshTimeout\nname: t\nspec: {to: [{targetRef: {kind: Mesh}, default: {}}]}\n"


@pytest.fixture(autouse=True)
def _with_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RECONCILER_NO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))


@pytest.fixture
def where(tmp_path: Path) -> Path:
    found = tmp_path / "work"
    found.mkdir()
    files = {policies.path(number): policies.policy(number) for number in range(250)}
    policies.write(found, {"mesh.yaml": policies.MESH, "broken.yaml": BROKEN, **files})
    return found


def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(ahead, "read_ahead", refuse)
    monkeypatch.setattr("reconciler.load.load", refuse)


def test_the_second_run_says_the_same_and_reads_nothing(
    where: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["validate", str(where)]) == 1
    first = capsys.readouterr()
    assert "MT004" in first.out
    assert "251 resources, 1 errors, 0 warnings" in first.err
    unread(monkeypatch)
    assert main(["validate", str(where)]) == 1
    assert capsys.readouterr() == first


def test_a_repository_that_was_checked_before_loads_no_check(where: Path) -> None:
    """Half of the time of such a run would go into importing them."""
    main(["validate", str(where)])
    program = (
        f"import sys; from reconciler.cli.main import main; main(['validate', {str(where)!r}]);"
        "print(sorted({'yaml', 'reconciler.load', 'reconciler.policies'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_one_file_that_changed_is_read_and_no_other(
    where: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["validate", str(where)])
    read: list[str] = []

    def noted(path: str, blob: Blob, **options: Any) -> Read:
        read.append(path)
        return read_file(path, blob, **options)

    monkeypatch.setattr("reconciler.reading.ahead.read_file", noted)
    (where / "broken.yaml").write_text(policies.policy(300))
    capsys.readouterr()
    assert main(["validate", str(where)]) == 0
    assert capsys.readouterr().err == "252 resources, 0 errors, 0 warnings\n"
    assert read == ["broken.yaml"]


@pytest.mark.parametrize("option", [["--no-cache"], ["--limit-documents", "7"]])
def test_another_question_is_not_answered_from_it(
    option: list[str], where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["validate", str(where)])
    unread(monkeypatch)
    with pytest.raises(AssertionError, match="read again"):
        main(["validate", str(where), *option])


def test_c32_a_stricter_repository_or_program_is_checked_anew(
    where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (where / "broken.yaml").write_text(policies.MESH.replace("default", "m") + "colour: red\n")
    assert main(["validate", str(where)]) == 0
    (where / "reconciler.yaml").write_text("strict: true\n")
    assert main(["validate", str(where)]) == 1
    monkeypatch.setattr("reconciler.reading.program.program", lambda: "a stricter one")
    unread(monkeypatch)
    with pytest.raises(AssertionError, match="read again"):
        main(["validate", str(where)])


def test_its_folder_is_an_option(where: Path, tmp_path: Path) -> None:
    main(["validate", str(where), "--cache-dir", str(tmp_path / "here")])
    assert (tmp_path / "here" / FILE).exists()
    assert not (tmp_path / "xdg").exists()


def test_without_it_nothing_is_written(where: Path, tmp_path: Path) -> None:
    main(["validate", str(where), "--no-cache"])
    assert not (tmp_path / "xdg").exists()


def test_one_that_cannot_be_used_is_passed_over_with_one_line(
    where: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["validate", str(where), "--cache-dir", str(tmp_path / "file" / "x")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"without the cache: {tmp_path}/file/x: ")
    assert len(lines) == 2


def test_one_that_is_locked_is_passed_over_with_one_line(
    where: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["validate", str(where)])
    other = sqlite3.connect(tmp_path / "xdg" / "mesh-reconciler" / FILE, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    capsys.readouterr()
    assert main(["validate", str(where)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == ["without the cache"]


def test_the_bar_is_drawn_for_who_waits_at_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    bar = _Bar()
    bar.progress(64, 1000)
    bar.end()
    assert capsys.readouterr().err == ""  # not yet
    slow = _Bar()
    slow.began -= BAR_AFTER_S + 1
    slow.progress(64, 1000)
    slow.end()
    out, err = capsys.readouterr()
    assert out == ""
    assert "64/1000" in err


def test_no_bar_where_there_is_no_terminal(where: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler.cli.main", "validate", str(where)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"RECONCILER_NO_CACHE": "1"},
    )
    assert done.stderr == "251 resources, 1 errors, 0 warnings\n"
