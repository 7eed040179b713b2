"""docs/reference/problems.md has every code once, and its examples are true.

An example is wrong in its commented line: it has the problem of its section, and none once every
commented line is replaced (`# instead: ...`) or taken away (`# remove`).
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from reconciler.defaults import with_warnings
from reconciler.hints.found import with_hints
from reconciler.load import Blob, LoadMemo, load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "problems.md").read_text()
CODE = re.compile(r'"([A-Z]{2,3}[0-9]{3})"')
SECTION = re.compile(r"^### ([A-Z]+[0-9]+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
SECRET = re.compile(r"secret: ([\w-]+)}")
NO_PROBLEM = {"RS256"}  # a signature, not a problem
HINTS = ("REF", "CFL")
MESH = "type: Mesh\nname: default\nskipCreatingInitialPolicies: ['*']\n"

SECTIONS = SECTION.findall(PAGE)
EXAMPLES = {code: found[0] for code, text in SECTIONS if (found := EXAMPLE.findall(text))}


def codes_in_source() -> set[str]:
    files = (ROOT / "reconciler").rglob("*.py")
    return {code for file in files for code in CODE.findall(file.read_text())} - NO_PROBLEM


def problems(code: str, text: str) -> list[str]:
    files = {"secrets.yaml" if text.startswith("secrets:") else "example.yaml": text}
    plain = "\n".join(line.partition(" # ")[0] for line in text.splitlines())
    listed = [f"- {{mesh: default, name: {name}, file: x}}" for name in SECRET.findall(plain)]
    if listed:  # What an example refers to is there.
        files["secrets.yaml"] = "\n".join(("secrets:", *listed))
    if not re.search(r"^(type|kind): [Mm]esh(\s|$)", text, re.MULTILINE):
        files["mesh.yaml"] = MESH
    blobs = {path: Blob("", data.encode()) for path, data in files.items()}
    found = with_warnings(load(blobs, LoadMemo()))
    if code.startswith(HINTS):  # Elsewhere an example is not the whole of a repository.
        found = with_hints(found, blobs)
    return [problem.code for problem in found.problems]


def cured(text: str) -> str:
    lines = []
    for line in text.splitlines():
        wrong, has_cure, cure = line.partition(" # instead: ")
        if has_cure:
            lines.append(wrong[: len(wrong) - len(wrong.lstrip())] + cure)
        elif not line.endswith("# remove"):
            lines.append(line)
    return "\n".join(lines)


def test_every_code_of_the_program_has_one_section() -> None:
    assert Counter(code for code, _ in SECTIONS) == dict.fromkeys(codes_in_source(), 1)


@pytest.mark.parametrize(("code", "text"), EXAMPLES.items(), ids=list(EXAMPLES))
def test_an_example_has_its_problem_until_it_is_cured(code: str, text: str) -> None:
    assert "# instead: " in text or "# remove" in text
    assert code in problems(code, text)
    assert problems(code, cured(text)) == []


def test_a_code_without_an_example_has_a_test() -> None:
    """What no YAML text can show: sizes, counts, modes of files."""
    here = Path(__file__)
    tests = "".join(f.read_text() for f in (ROOT / "tests").rglob("*.py") if f != here)
    told = set(re.findall(r"\b[A-Z]{2,3}[0-9]{3}\b", tests))
    assert {code for code, _ in SECTIONS} - EXAMPLES.keys() <= told
