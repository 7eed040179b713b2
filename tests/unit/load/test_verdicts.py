"""What Kuma 2.14.3 says of the documents in tests/verdicts, we say: accepted, or refused for the
same fields.

Each file is a kind: `document`, with `fields` where the peer names some, with `refused` where it
refuses and names none, with neither where it accepts. `beyond` says why we refuse what it accepts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.limits import DEFAULT
from reconciler.load import Blob, read_file

FOLDER = Path(__file__).parents[2] / "verdicts"
CASES = [
    pytest.param(case, id=f"{file.stem}-{index}-{str(case['document'].get('name', ''))[:40]}")
    for file in sorted(FOLDER.glob("*.yaml"))
    for index, case in enumerate(yaml.load_all(file.read_text(), yaml.CSafeLoader))
]


@pytest.mark.parametrize("case", CASES)
def test_the_verdict_is_the_peers(case: dict[str, Any]) -> None:
    text = yaml.dump(case["document"], Dumper=yaml.CSafeDumper, allow_unicode=True)
    read = read_file("document.yaml", Blob("", text.encode()), strict=False, limits=DEFAULT)
    errors = [problem for problem in read.problems if problem.severity == "error"]
    refused = bool(case.get("fields") or case.get("refused") or case.get("beyond"))
    assert bool(errors) == refused, [str(problem) for problem in read.problems]
    if "fields" in case:
        said = {problem.at.field for problem in errors}
        assert said == set(case["fields"]), [str(problem) for problem in errors]
