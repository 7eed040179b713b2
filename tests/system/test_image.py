"""The Dockerfile, step by step in a plain folder: what `.dockerignore` lets in is enough to build
the program that the image runs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
PLACES = re.compile(r"(?<![\w.])/(opt|dist)\b")


def context(folder: Path) -> None:
    """What `docker build` would be sent."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source = ROOT / line[1:]
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / source.name, ignore=ignored)
            else:
                target = folder / line[1:]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)


def steps(image: str) -> list[str]:
    """RUN lines of the stage that builds, with its absolute places inside `image`."""
    build = DOCKERFILE.split("\nFROM")[1]
    found = re.findall(r"^RUN (.+)$", build, re.MULTILINE)
    return [PLACES.sub(lambda place: f"{image}/{place[1]}", step) for step in found]


def test_the_image_can_be_built_and_has_program_envoy_and_examples(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    context(source)
    hidden = {"PYTHONPATH", "VIRTUAL_ENV"}
    given = {key: value for key, value in os.environ.items() if key not in hidden}
    path = f"{Path(sys.executable).parent}:{given['PATH']}"
    todo = steps(str(tmp_path))
    assert len(todo) == 2
    for step in todo:
        done = subprocess.run(
            ["sh", "-ec", step],
            cwd=source, env={**given, "PATH": path, "HOME": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"
    programs = tmp_path / "opt" / "reconciler" / "bin"
    shutil.rmtree(source)
    (examples,) = programs.parent.glob("lib/python*/site-packages/reconciler/_examples")
    assert run(programs / "reconciler", "--version", cwd=tmp_path)
    run(programs / "reconciler", "validate", examples, cwd=tmp_path)
    assert "version" in run(programs / "envoy", "--version", cwd=tmp_path)
    assert not (programs / "pytest").exists()


def run(*argv: str | Path, cwd: Path) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_the_image_runs_as_nobody_in_particular_and_opens_every_port() -> None:
    final = DOCKERFILE.rpartition("\nFROM")[2]
    assert re.search(r"^USER (\d+):\1$", final, re.MULTILINE)
    (ports,) = re.findall(r"^EXPOSE (.+)$", final, re.MULTILINE)
    assert "install -y --no-install-recommends iptables nftables" in final  # for init containers
    assert {"5685", "5678", "5679"} <= set(ports.split())
    assert re.search(r'^ENTRYPOINT \["reconciler"\]$', final, re.MULTILINE)
