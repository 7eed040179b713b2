"""What a user installs: the wheel, in a fresh environment, without the source tree."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.system
ROOT = Path(__file__).parents[2]


def run(*argv: str | Path, cwd: Path) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; it sees the locked packages, not the source tree."""
    folder = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    run(
        sys.executable, "-m", "pip", "--python", python,
        "install", "--quiet", "--no-deps", "--no-index", wheel,
        cwd=folder,
    )  # fmt: skip
    # A path added by a .pth file is searched last, and .pth files inside it (our editable
    # install) are not read.
    (locked,) = (Path(sys.prefix) / "lib").glob("python*/site-packages")
    (own,) = (folder / "lib").glob("python*/site-packages")
    (own / "locked.pth").write_text(f"{locked}\n")
    return folder


def test_the_wheel_holds_the_packages_the_schemas_and_the_examples(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"reconciler", "xds"}
    for folder, kept in (("schemas", "_schemas"), ("examples-repo", "_examples")):
        files = {p.relative_to(ROOT / folder) for p in (ROOT / folder).rglob("*") if p.is_file()}
        missing = {f for f in files if f"reconciler/{kept}/{f.as_posix()}" not in names}
        assert files
        assert not missing
    assert {"reconciler/py.typed", "xds/py.typed"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_installed_packages_are_the_wheels(environment: Path) -> None:
    code = "import xds, reconciler; print(xds.__file__, reconciler.__file__)"
    files = run(environment / "bin" / "python", "-c", code, cwd=environment).split()
    assert [Path(file).is_relative_to(environment) for file in files] == [True, True]


def test_the_installed_program_validates_the_packaged_examples(environment: Path) -> None:
    program = environment / "bin" / "reconciler"
    assert "validate" in run(program, "--help", cwd=environment)
    (examples,) = environment.glob("lib/python*/site-packages/reconciler/_examples")
    run(program, "validate", examples, cwd=environment)
