"""The CI recipes of examples-repo: parsed, and their steps run in order as the runner would, in a
clone of a repository with a pull request. Only installing and checking out are the runner's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reconciler.status.document import Inventory
from tests.support.forges import TOKEN, ForgeState, forge
from tests.support.git_repos import GIT_ENVIRONMENT, PolicyRepo, git
from tests.support.plans import dataplane, loaded, real_zone
from tests.support.status_refs import commit_status

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples-repo"
GITHUB: Any = yaml.safe_load((EXAMPLES / ".github/workflows/mesh.yaml").read_text())
GITLAB: Any = yaml.safe_load((EXAMPLES / ".gitlab-ci.yml").read_text())
INSTALL = "pip install --quiet mesh-reconciler"
TIMEOUTS = "policies/timeouts.yaml"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As a runner has it: the pull request's commit, the branches of the remote beside it."""
    texts = {
        path.relative_to(EXAMPLES).as_posix(): path.read_text()
        for path in sorted(EXAMPLES.rglob("*"))
        if path.is_file()
    }
    repo = PolicyRepo.create(tmp_path, texts)
    commit = loaded(text for path, text in texts.items() if path.startswith(("mesh", "policies")))
    proxies = [
        dataplane("web-1", "10.0.1.2", "web", ["backend"]),
        dataplane("backend-1", "10.0.1.3", "backend"),
    ]
    files = real_zone("east", commit, proxies).status_files(Inventory.CLASSES)
    commit_status(repo.bare, "refs/heads/status/east", files, None)
    git(repo.work, "checkout", "--quiet", "-b", "faster")
    repo.commit({TIMEOUTS: texts[TIMEOUTS].replace("requestTimeout: 15s", "requestTimeout: 5s")})
    git(repo.work, "push", "--quiet", "origin", "faster")
    found = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--branch", "faster", str(repo.bare), str(found))
    git(found, "checkout", "--quiet", "--detach")
    return found


def run(clone: Path, step: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """One step in the runner's shell. `pip` only notes what it was asked for."""
    tools = clone.parent / "tools"
    tools.mkdir(exist_ok=True)
    pip = tools / "pip"
    pip.write_text('#!/bin/sh\necho "$@" >> "$PIP_LOG"\n')
    pip.chmod(0o755)
    reconciler = Path(sys.executable).parent
    path = f"{tools}:{reconciler}:{os.environ['PATH']}"
    home = {"HOME": str(clone.parent), "PIP_LOG": str(clone.parent / "pip.log"), "PATH": path}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", step], cwd=clone, capture_output=True, text=True,
        check=False, timeout=120, env={**GIT_ENVIRONMENT, **home, **environment},
    )  # fmt: skip


def github_steps(clone: Path, state: ForgeState, token: str) -> str:
    """What the job's summary says in the end."""
    summary = clone.parent / "summary.md"
    job = {
        "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/mesh", "GITHUB_API_URL": state.base,
        "GITHUB_REF": "refs/pull/12/merge", "GITHUB_BASE_REF": "main",
        "GITHUB_STEP_SUMMARY": str(summary),
    }  # fmt: skip
    for step in GITHUB["jobs"]["plan"]["steps"]:
        if "run" in step:
            given = dict.fromkeys(step.get("env", {}), token)  # The only one is the job's token.
            done = run(clone, step["run"], {**job, **given})
            assert done.returncode == 0, (step, done.stdout, done.stderr)
    return summary.read_text()


def test_github_actions_comments_and_writes_the_summary(clone: Path) -> None:
    with forge("github") as state:
        state.knows_user = False  # A job's own token.
        summary = github_steps(clone, state, TOKEN)
        github_steps(clone, state, TOKEN)
        ((_, _, body),) = state.comments
    assert "15s → 5s" in body
    assert summary.startswith("<!-- mesh-reconciler plan -->")
    assert (clone.parent / "pip.log").read_text().splitlines() == [INSTALL.removeprefix("pip ")] * 2


def test_github_actions_plans_a_fork_without_credentials(clone: Path) -> None:
    with forge("github") as state:
        state.knows_user = state.may_comment = False
        assert "15s → 5s" in github_steps(clone, state, TOKEN)
        assert state.comments == []


def test_the_github_job_may_do_no_more_than_it_needs() -> None:
    assert GITHUB[True] == {"pull_request": None}  # Never pull_request_target: it has secrets.
    assert GITHUB["permissions"] == {"contents": "read"}
    job = GITHUB["jobs"]["plan"]
    assert job["permissions"] == {"contents": "read", "pull-requests": "write"}
    (checkout,) = [step for step in job["steps"] if "uses" in step]
    assert checkout["with"]["fetch-depth"] == 0
    assert checkout["with"]["persist-credentials"] is False


@pytest.mark.parametrize("token", [TOKEN, ""])
def test_gitlab_ci_comments_where_it_may(clone: Path, token: str) -> None:
    with forge("gitlab") as state:
        job = {
            "GITLAB_CI": "true", "CI_API_V4_URL": state.base, "CI_PROJECT_ID": "acme/mesh",
            "CI_MERGE_REQUEST_IID": "12", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        }  # fmt: skip
        job |= {"GITLAB_TOKEN": token} if token else {}
        for step in (*GITLAB["mesh"]["before_script"], *GITLAB["mesh"]["script"]):
            done = run(clone, step, job)
            assert done.returncode == 0, (step, done.stderr)
        assert "15s → 5s" in done.stdout
        assert len(state.comments) == bool(token)
    assert GITLAB["mesh"]["artifacts"]["reports"]["junit"] == "validate.xml"
    assert "<testsuite" in (clone / "validate.xml").read_text()


def test_a_mistake_ends_the_job_with_an_annotation(clone: Path) -> None:
    text = (clone / TIMEOUTS).read_text()
    (clone / TIMEOUTS).write_text(text.replace("requestTimeout: 5s", "requestTimeout: soon"))
    steps = [step for step in GITHUB["jobs"]["plan"]["steps"] if step.get("name") == "Validate"]
    done = run(clone, steps[0]["run"], {})
    assert done.returncode == 1
    assert done.stdout.startswith("::error file=policies/timeouts.yaml,line=")
