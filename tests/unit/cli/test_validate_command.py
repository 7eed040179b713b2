"""`reconciler validate`: offline, quick to start, and its output is for people, programs and CI."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from reconciler.cli.main import main
from tests.support.git_repos import PolicyRepo

ROOT = Path(__file__).parents[3]
HEAVY = (
    "jsonschema",
    "rich",
    "grpc",
    "envoy_data_plane",
    "betterproto2",
    "pygit2",
    "uvicorn",
    "cryptography",
)
BROKEN = "type: MeshTimeout\nname: t\nspec: {to: [{targetRef: {kind: Mesh}, default: {}}]}\n"
MESH = "type: Mesh\nname: default\n"


def folder(tmp_path: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_the_examples_are_clean(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(ROOT / "examples-repo")]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "7 resources, 0 errors, 0 warnings\n"


def test_an_error_is_told_with_its_place_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = folder(tmp_path, {"m.yaml": MESH, "a/b.yaml": BROKEN})
    assert main(["validate", str(where)]) == 1
    out, err = capsys.readouterr()
    assert out == "a/b.yaml:3:48: MT004 sets no timeout; set one or remove the item\n"
    assert err.endswith("1 errors, 0 warnings\n")


def test_a_warning_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(folder(tmp_path, {"m.yaml": MESH + "colour: red\n"}))]) == 0
    assert "SCH005 warning: unknown field" in capsys.readouterr().out


def test_programs_read_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = folder(tmp_path, {"m.yaml": MESH, "a.yaml": BROKEN})
    assert main(["validate", str(where), "--format", "json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        "resources": 1,
        "problems": [
            {
                "path": "a.yaml", "line": 3, "column": 48, "severity": "error", "code": "MT004",
                "message": "sets no timeout; set one or remove the item",
                "field": "spec.to[0].default",
            }
        ],
    }  # fmt: skip


def test_ci_annotations_cannot_be_forged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pull request's text and file names are a stranger's."""
    forged = 'type: "x\\n::set-output name=a::b%0A::error::c"\nname: a\n'
    where = folder(tmp_path, {"a,line=9:b.yaml": forged})
    assert main(["validate", str(where), "--format", "github"]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    head, _, message = line.removeprefix("::").partition("::")
    assert head == "error file=a%2Cline=9%3Ab.yaml,line=1,col=1"
    assert "SRC012" in message


def test_ci_is_told_the_path_from_where_it_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = PolicyRepo.create(tmp_path, {"p/m.yaml": MESH, "p/a.yaml": BROKEN})
    monkeypatch.chdir(repo.work)
    rooted = ["--policy-path", "/p"]  # as the global takes it
    for argv in (["p"], [".", "--policy-path", "p"], rooted, [*rooted, "--rev", "HEAD"]):
        assert main(["validate", *argv, "--format", "github"]) == 1
        assert capsys.readouterr().out.startswith("::error file=p/a.yaml,line=3,col=48::MT004 ")


@pytest.mark.parametrize("form", ["github", "sarif", "junit"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_ci_is_told_the_path_from_the_top_of_its_repository(
    form: str,
    elsewhere: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From inside a folder of it, from outside, of its files and of a commit."""
    repo = PolicyRepo.create(tmp_path, {"p/q/m.yaml": MESH, "p/q/a.yaml": BROKEN})
    monkeypatch.chdir(tmp_path if elsewhere else repo.work / "p")
    files = [str(repo.work / "p"), "--policy-path", "q"]
    commit = [str(repo.work), "--policy-path", "p/q", "--rev", "HEAD"]
    for argv in (files, commit, *([] if elsewhere else [["q"]])):
        assert main(["validate", *argv, "--format", form]) == 1
        assert "p/q/a.yaml" in capsys.readouterr().out


def test_people_are_told_the_path_from_where_they_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path, {"p/q/m.yaml": MESH, "p/q/a.yaml": BROKEN})
    monkeypatch.chdir(tmp_path / "p")
    main(["validate", "q"])
    assert capsys.readouterr().out.startswith("q/a.yaml:3:48: ")


def test_sarif_and_junit_are_whole_documents(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = str(folder(tmp_path, {"m.yaml": MESH, "a.yaml": BROKEN}))
    assert main(["validate", where, "--format", "sarif"]) == 1
    (rule,) = json.loads(capsys.readouterr().out)["runs"][0]["tool"]["driver"]["rules"]
    assert rule["helpUri"] == (ROOT / "docs/reference/problems.md").as_uri() + "#mt004"
    main(["validate", where, "--format", "sarif", "--docs-url", "https://wiki.example/codes"])
    assert "https://wiki.example/codes#mt004" in capsys.readouterr().out
    assert main(["validate", where, "--format", "junit"]) == 1
    root = ElementTree.fromstring(capsys.readouterr().out)
    assert [case.get("name") for case in root.iter("testcase")] == ["a.yaml", "m.yaml"]


def test_colour_is_for_terminals_unless_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    where = str(folder(tmp_path, {"m.yaml": MESH, "a.yaml": BROKEN}))
    main(["validate", where])
    assert "\x1b" not in "".join(capsys.readouterr())
    main(["validate", where, "--color", "always"])
    assert "\x1b[31mMT004" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    main(["validate", where])
    assert "\x1b[31mMT004" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    main(["validate", where])
    assert "\x1b" not in capsys.readouterr().out


def test_links_pipes_and_hidden_folders_are_not_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = folder(tmp_path, {"m.yaml": MESH, ".github/x.yaml": "{", "big.yaml": "x" * 2**21})
    (where / "link.yaml").symlink_to("/etc/passwd")
    os.mkfifo(where / "pipe.yaml")
    assert main(["validate", str(where)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[:2] for line in lines] == [
        ["big.yaml:", "SRC002"],
        ["link.yaml:", "SRC009"],
        ["pipe.yaml:", "SRC009"],
    ]


def test_a_revision_is_read_instead_of_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repo = PolicyRepo.create(tmp_path, {"p/m.yaml": MESH, "p/a.yaml": BROKEN})
    repo.commit({"p/a.yaml": "", "other/x.yaml": "{"})
    argv = ["validate", str(repo.work), "--policy-path", "p", "--rev"]
    assert main([*argv, "HEAD"]) == 0
    assert main([*argv, "HEAD~1"]) == 1
    assert capsys.readouterr().out.startswith("a.yaml:3:48: MT004")


@pytest.mark.parametrize("argv", [["nowhere"], [".", "--rev", "no-such-revision"]])
def test_what_cannot_be_run_exits_with_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", *argv]) == 2
    assert capsys.readouterr().err


def test_it_starts_without_the_heavy_libraries() -> None:
    program = (
        "import sys; from reconciler.cli.main import main; main(['validate', 'examples-repo']);"
        f"print(sorted(set({HEAVY!r}) & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
