"""What is installed is ours, complete, and pinned."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import reconciler
import xds

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;]+)", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, str]:
    """Distribution -> version of a requirements file."""
    text = (ROOT / "requirements" / file).read_text()
    return {normal(name): version for name, version in PIN.findall(text)}


def requirement_name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return normal(found[0])


def test_the_package_xds_is_ours() -> None:
    """`xds-protos` ships a top-level package of the same name; beside it neither would be safe."""
    assert Path(xds.__file__ or "").parent == ROOT / "xds"
    assert Path(reconciler.__file__ or "").parent == ROOT / "reconciler"
    installed = {normal(d.name) for d in importlib.metadata.distributions()}
    assert not installed & {"xds-protos", "grpcio-csds", "grpcio-admin"}


def test_every_dependency_is_pinned_with_hashes() -> None:
    for file in ("run.txt", "dev.txt"):
        text = (ROOT / "requirements" / file).read_text()
        for block in re.split(r"\n(?=\S)", text.strip()):
            assert PIN.match(block), f"{file}: not pinned: {block[:60]}"
            assert "--hash=sha256:" in block, f"{file}: no hash: {block[:60]}"


def test_the_lock_holds_what_the_project_asks_for() -> None:
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["envoy"]]
    run, dev = pins("run.txt"), pins("dev.txt")
    missing = [name for name in map(requirement_name, asked) if name not in run or name not in dev]
    assert not missing, f"run `make lock`: {missing}"


def test_what_runs_is_what_was_tested() -> None:
    """The image installs run.txt, the tests run on dev.txt: the same versions."""
    run, dev = pins("run.txt"), pins("dev.txt")
    different = {name: (run[name], dev.get(name)) for name in run if run[name] != dev.get(name)}
    assert not different


def test_every_dependency_says_what_it_is_for() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start = lines.index("dependencies = [")
    listed = lines[start + 1 : lines.index("]", start)]
    assert len(listed) == len(PROJECT["dependencies"])
    assert [line for line in listed if "#" not in line] == []


def test_importing_the_packages_starts_nothing() -> None:
    """No thread, no socket, no heavy library: `reconciler validate` must answer at once."""
    code = (
        "import sys, threading, reconciler, xds, reconciler.cli.main;"
        "heavy = {'grpc', 'envoy_data_plane', 'pygit2', 'uvicorn', 'rich'} & set(sys.modules);"
        "assert threading.active_count() == 1, threading.enumerate();"
        "assert not heavy, heavy"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_global_loads_nothing_of_envoy() -> None:
    """It builds no Envoy resource, and the library of their messages is half of a start."""
    code = (
        "import sys, reconciler.global_cp.process, reconciler.global_cp.plane;"
        "import reconciler.revision_loader, reconciler.status.relay, reconciler.cli.global_;"
        "assert 'envoy_data_plane' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
