"""Where the data that ships with the program is: schemas, the example repository, the page
of problems.
"""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent


def _folder(packaged: str, in_checkout: str) -> Path:
    """In a wheel the folder is inside the package; in a checkout it stands at the top."""
    inside = _HERE / packaged
    return inside if inside.is_dir() else _HERE.parent / in_checkout


def examples_folder() -> Path:
    return _folder("_examples", "examples-repo")


def schemas_folder() -> Path:
    return _folder("_schemas", "schemas")


def problems_page() -> Path:
    """Markdown; a section a code."""
    return _folder("_reference", "docs/reference") / "problems.md"
