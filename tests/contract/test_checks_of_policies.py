"""What docs/how-to/check-before-you-push.md promises to a policy repository: the hooks run, the CI
steps run, the schemas are where editors look.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.git_repos import GIT_ENVIRONMENT, PolicyRepo, git

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "check-before-you-push.md").read_text()
README = (ROOT / "README.md").read_text()
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
MESH = "type: Mesh\nname: default\n"
WRONG = "type: Mesh\nname: NO\n"
ENVIRONMENT = os.environ | GIT_ENVIRONMENT | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
}  # fmt: skip


def blocks(kind: str, text: str = PAGE) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def run(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def repo(tmp_path: Path) -> PolicyRepo:
    return PolicyRepo.create(tmp_path, {"m.yaml": MESH, "policies/m.yaml": MESH})


def test_the_entry_of_the_hook_for_pre_commit_says_yes_and_no(repo: PolicyRepo) -> None:
    (hook,) = HOOKS
    assert hook["pass_filenames"] is False  # it looks at all of them
    entry = shlex.split(hook["entry"])
    used = yaml.safe_load(next(b for b in blocks("yaml") if b.startswith("repos:")))
    (ours,) = used["repos"][0]["hooks"]
    assert ours["id"] == hook["id"]
    args = ours["args"]
    assert run([*entry, *args], repo.work).returncode == 0
    (repo.work / "policies" / "m.yaml").write_text(WRONG)
    done = run([*entry, *args], repo.work)
    assert done.returncode == 1
    assert done.stdout.startswith("policies/m.yaml:2:7: DOC003 ")


@pytest.mark.parametrize("page", [PAGE, README])
def test_the_plain_hook_looks_at_what_is_staged(page: str, repo: PolicyRepo) -> None:
    (script,) = (block for block in blocks("sh", page) if block.startswith("#!"))
    hook = repo.work / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(script)
    hook.chmod(0o755)
    (repo.work / "policies" / "m.yaml").unlink()
    git(repo.work, "add", "--all")
    (repo.work / "m.yaml").write_text(WRONG)  # not staged
    commit = ["git", "commit", "--message", "x"]
    assert run(commit, repo.work).returncode == 0
    git(repo.work, "add", "m.yaml")
    done = run(commit, repo.work)
    assert done.returncode == 1
    assert "m.yaml:2:7: DOC003 " in done.stdout + done.stderr


def test_the_steps_of_ci_run(repo: PolicyRepo) -> None:
    """With the shell that runs them there."""
    workflow = yaml.safe_load(next(b for b in blocks("yaml") if ".github/" in b))
    steps = [step["run"] for step in workflow["jobs"]["validate"]["steps"] if "run" in step]
    gitlab = yaml.safe_load(next(b for b in blocks("yaml") if ".gitlab-ci" in b))
    steps.append(gitlab["validate"]["script"])
    (repo.work / "policies" / "m.yaml").unlink()
    for wrong, code in ((MESH, 0), (WRONG, 1)):
        (repo.work / "m.yaml").write_text(wrong)
        for step in steps:
            done = run(["bash", "-e", "-c", step], repo.work)
            assert done.returncode == code, (step, done.stderr)
    assert json.loads((repo.work / "problems.sarif").read_text())["runs"][0]["results"]
    assert "<failure " in (repo.work / "problems.xml").read_text()


def test_the_schemas_are_where_editors_look() -> None:
    named = re.findall(r"/opt/mesh-reconciler/(schemas/[\w/]+\.json)", PAGE + README)
    assert len(named) >= 5
    index = json.loads((ROOT / "schemas" / "index.json").read_text())
    for file in named:
        assert (ROOT / file).is_file()
        assert file.removeprefix("schemas/") in index.values()
    (settings,) = blocks("json")
    assert json.loads(settings).keys() == {"yaml.schemas"}
    for file in (ROOT / "schemas").rglob("*.json"):
        for reference in re.findall(r'"\$ref": "([^"#]+)', file.read_text()):
            assert (file.parent / reference).is_file(), file  # an editor resolves it on the disk
