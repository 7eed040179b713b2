"""`make policy NAME=MeshFoo` leaves a tree in which the policy contract holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scaffold import registered, scaffold, snake

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The parts of the tree that a policy lives in."""
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("reconciler", "xds", "schemas", "examples-repo", "tests/policies"):
        if (ROOT / folder).exists():
            shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    for file in ("tests/contract/test_policies.py", "pyproject.toml"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def test_a_new_policy_is_in_every_place(copy: Path) -> None:
    scaffold(copy, "MeshNovelty")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/contract/test_policies.py"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    registry = (copy / "reconciler/policies/__init__.py").read_text()
    ruff = [Path(sys.executable).parent / "ruff"]
    for check in (["format", "--check"], ["check"]):
        linted = subprocess.run(
            [
                *ruff,
                *check,
                "reconciler/policies/mesh_novelty.py",
                "reconciler/policies/__init__.py",
            ],
            cwd=copy,
            capture_output=True,
            text=True,
            check=False,
        )
        assert linted.returncode == 0, linted.stdout + registry


def test_nothing_is_overwritten(copy: Path) -> None:
    scaffold(copy, "MeshNovelty")
    with pytest.raises(ValueError, match="already there"):
        scaffold(copy, "MeshNovelty")


@pytest.mark.parametrize("kind", ["Foo", "meshFoo", "Mesh", "Mesh Foo", "MeshFoo/../x"])
def test_a_name_that_is_no_kind_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ValueError, match="write it like MeshFoo"):
        scaffold(tmp_path, kind)


@pytest.mark.parametrize(
    ("kind", "slug"), [("MeshTimeout", "mesh_timeout"), ("MeshHTTPRoute", "mesh_http_route")]
)
def test_slug_is_snake_case(kind: str, slug: str) -> None:
    assert snake(kind) == slug


def test_a_registry_of_another_form_is_left_alone() -> None:
    with pytest.raises(ValueError, match="by hand"):
        registered("POLICIES = load()\n", "mesh_foo")
