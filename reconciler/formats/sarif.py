"""For code scanning: SARIF 2.1.0. Pure.

A rule a code, explained by its section of docs/reference/problems.md. A result is recognised in the
next run by what it says of which field, not by its line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from reconciler.formats.checked import occurrences, shown
from reconciler.problems import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.formats.checked import Checked
    from reconciler.problems import Problem

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
FINGERPRINT = "meshReconciler/v1"
SHORT_MAX = 200
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")
_SECTION = re.compile(r"^### ([A-Z]+[0-9]+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)


def sections(page: str) -> Mapping[str, str]:
    """The page of problems by code, as Markdown."""
    return {code: text.strip() for code, text in _SECTION.findall(page)}


def as_sarif(checked: Checked, explained: Mapping[str, str], page_url: str, version: str) -> str:
    groups = occurrences(checked.problems)
    codes = sorted({code for code, _, _ in groups})
    rules = [_rule(code, explained.get(code, ""), page_url) for code in codes]
    seen: Counter[str] = Counter()
    driver = {
        "name": "reconciler",
        "semanticVersion": version,
        "informationUri": page_url,
        "rules": rules,
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(checked, p, codes.index(p.code), seen) for p in checked.problems],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(code: str, text: str, page_url: str) -> dict[str, object]:
    first = " ".join(text.split("\n\n", 1)[0].split())
    rule: dict[str, object] = {"id": code, "helpUri": f"{page_url}#{code.lower()}"}
    if text:
        short = first if len(first) <= SHORT_MAX else f"{first[: SHORT_MAX - 1]}…"
        rule["shortDescription"] = {"text": short.replace("`", "")}
        rule["help"] = {"text": text, "markdown": text}
    return rule


def _result(checked: Checked, problem: Problem, rule: int, seen: Counter[str]) -> dict[str, object]:
    at = problem.at
    path = checked.path_of(at)
    place: dict[str, object] = {
        "artifactLocation": {"uri": _uri(path), "uriBaseId": "%SRCROOT%"},
    }
    if at.line:
        place["region"] = {"startLine": at.line, "startColumn": max(at.column, 1)}
    location: dict[str, object] = {"physicalLocation": place}
    if at.field:
        location["logicalLocations"] = [{"fullyQualifiedName": shown(at.field)}]
    print_ = _fingerprint(path, problem)
    seen[print_] += 1
    return {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": "error" if problem.severity is Severity.ERROR else "warning",
        "message": {"text": shown(problem.message)},
        "locations": [location],
        "partialFingerprints": {FINGERPRINT: f"{print_}:{seen[print_]}"},
    }


def _uri(path: str) -> str:
    return "".join(chr(c) if c in _PLAIN else f"%{c:02X}" for c in path.encode())


def _fingerprint(path: str, problem: Problem) -> str:
    what = json.dumps([path, problem.code, problem.at.field or problem.message])
    return hashlib.sha256(what.encode()).hexdigest()[:32]
