"""The digest of the program, which is in every key of the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.reading.program import _files, of_files, program

if TYPE_CHECKING:
    from pathlib import Path


def test_c32_a_stricter_program_is_another_one(tmp_path: Path) -> None:
    """Another line of code, another schema, another library, another Python."""
    code, schema = tmp_path / "a.py", tmp_path / "mesh.json"
    code.write_text("MAX = 2\n")
    schema.write_text("{}")
    files = {"a.py": code, "mesh.json": schema}
    found = [of_files(files, ("3.11", "jsonschema-4.26.dist-info"))]
    found.append(of_files(files, ("3.11", "jsonschema-4.27.dist-info")))
    found.append(of_files(files, ("3.12", "jsonschema-4.26.dist-info")))
    code.write_text("MAX = 1\n")
    found.append(of_files(files, ("3.11", "jsonschema-4.26.dist-info")))
    schema.write_text('{"type": "object"}')
    found.append(of_files(files, ("3.11", "jsonschema-4.26.dist-info")))
    found.append(of_files({"b.py": code, "mesh.json": schema}, ("3.11", "jsonschema-4.26")))
    assert len(set(found)) == len(found)


def test_everything_that_has_a_say_is_in_it() -> None:
    names = _files().keys()
    assert {"reconciler/load.py", "reconciler/part.py", "reconciler/checks/__init__.py"} <= names
    assert {"index.json", "shared.json", "policies/mesh_timeout.json"} <= names
    assert len(program()) == 64
