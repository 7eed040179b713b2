"""The forms in which problems are told: each is what its readers take, and nothing in a file breaks
out of one.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from reconciler.formats.checked import Checked
from reconciler.formats.junit import as_junit
from reconciler.formats.programs import as_annotations, as_json
from reconciler.formats.sarif import as_sarif, sections
from reconciler.formats.text import lines, summary
from reconciler.problems import Position, Problem, Severity

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "problems.md").read_text()
URL = "https://docs.example/problems.md"
A = Problem(Position("a.yaml", 3, 9, "spec.to[0]"), "MT001", "must be above 0s; omit it")
B = Problem(Position("b/c d.yaml"), "SRC002", "has over 9 bytes; split it", Severity.WARNING)
WHOLE = Problem(Position("."), "SRC008", "the tree has over 9 files; split it")


def checked(*problems: Problem, folder: str = "p/") -> Checked:
    files = ("a.yaml", "b/c d.yaml", "clean.yaml")
    return Checked(problems=problems, files=files, resources=2, folder=folder)


def sarif(found: Checked) -> Any:
    return json.loads(as_sarif(found, sections(PAGE), URL, "0.1.0"))


TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"minLength": 1}}}
URI = {"type": "string", "pattern": "^[A-Za-z0-9._~/%#:-]+$"}
# What SARIF 2.1.0 asks of the parts that we write.
SARIF: dict[str, Any] = {
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {"minItems": 1, "items": {"$ref": "#/$defs/run"}},
    },
    "$defs": {
        "run": {
            "required": ["tool", "results"],
            "properties": {
                "tool": {"properties": {"driver": {"$ref": "#/$defs/driver"}}},
                "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                "results": {"items": {"$ref": "#/$defs/result"}},
            },
        },
        "driver": {
            "required": ["name"],
            "properties": {
                "informationUri": URI,
                "rules": {"uniqueItems": True, "items": {"$ref": "#/$defs/rule"}},
            },
        },
        "rule": {
            "required": ["id"],
            "properties": {"helpUri": URI, "shortDescription": TEXT, "help": TEXT},
        },
        "result": {
            "required": ["message"],
            "properties": {
                "level": {"enum": ["none", "note", "warning", "error"]},
                "ruleIndex": {"type": "integer", "minimum": -1},
                "message": TEXT,
                "locations": {"items": {"$ref": "#/$defs/location"}},
                "partialFingerprints": {"additionalProperties": {"type": "string"}},
            },
        },
        "location": {
            "properties": {
                "physicalLocation": {
                    "required": ["artifactLocation"],
                    "properties": {
                        "artifactLocation": {"properties": {"uri": URI}},
                        "region": {
                            "properties": {
                                "startLine": {"type": "integer", "minimum": 1},
                                "startColumn": {"type": "integer", "minimum": 1},
                            }
                        },
                    },
                }
            }
        },
    },
}


def test_sarif_is_what_the_standard_asks_for() -> None:
    found = sarif(checked(A, B, WHOLE))
    Draft202012Validator(SARIF).validate(found)
    (run,) = found["runs"]
    first, second, third = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "p/a.yaml", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 3, "startColumn": 9}
    assert first["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "spec.to[0]"}]
    assert (first["level"], second["level"]) == ("error", "warning")
    place = second["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "p/b/c%20d.yaml", "uriBaseId": "%SRCROOT%"}}
    assert third["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "p"
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["MT001", "SRC002", "SRC008"]
    assert [rules[r["ruleIndex"]]["id"] for r in run["results"]] == [
        r["ruleId"] for r in run["results"]
    ]


def test_every_code_has_a_rule_with_its_section() -> None:
    known = sections(PAGE)
    assert len(known) > 60
    for code in known:
        (rule,) = sarif(checked(Problem(Position("a.yaml", 1, 1), code, "x")))["runs"][0]["tool"][
            "driver"
        ]["rules"]
        assert rule["helpUri"] == f"{URL}#{code.lower()}"
        assert f"### {code}\n\n{rule['help']['markdown']}" in PAGE
        assert rule["shortDescription"]["text"]


def test_sarif_knows_a_result_again_when_only_its_line_moved() -> None:
    def prints(*problems: Problem) -> list[str]:
        results = sarif(checked(*problems))["runs"][0]["results"]
        return [each["partialFingerprints"]["meshReconciler/v1"] for each in results]

    moved = Problem(Position("a.yaml", 77, 1, "spec.to[0]"), A.code, A.message)
    other = Problem(Position("a.yaml", 3, 9, "spec.to[1]"), A.code, A.message)
    assert prints(A) == prints(moved)
    assert prints(A) != prints(other)
    assert len(set(prints(A, A, B))) == 3


def test_junit_has_a_test_case_a_file() -> None:
    root = ElementTree.fromstring(as_junit(checked(A, B, WHOLE)))
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert cases.keys() == {"p", "p/a.yaml", "p/b/c d.yaml", "p/clean.yaml"}
    (suite,) = root
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    failure = cases["p/a.yaml"].find("failure")
    assert failure is not None
    assert failure.get("type") == "MT001"
    assert failure.text == "p/a.yaml:3:9: MT001 must be above 0s; omit it"
    assert cases["p/b/c d.yaml"].find("failure") is None
    assert "SRC002" in (cases["p/b/c d.yaml"].findtext("system-out") or "")
    assert list(cases["p/clean.yaml"]) == []


def test_text_is_plain_but_on_a_terminal() -> None:
    found = checked(A, B, folder="")
    assert list(lines(found)) == [str(A), str(B)]
    coloured = list(lines(found, colour=True))
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == [str(A), str(B)]
    assert "\x1b[31mMT001" in coloured[0]
    assert "\x1b[33mSRC002" in coloured[1]


def test_many_problems_are_summed_up_by_code_the_errors_first() -> None:
    many = checked(*([A] * 3), *([B] * 20))
    assert list(summary(many)) == [
        "     3 MT001 errors in 1 file: must be above 0s; omit it",
        "    20 SRC002 warnings in 1 file: has over 9 bytes; split it",
        "2 resources, 3 errors, 20 warnings",
    ]
    assert list(summary(checked(A, B))) == ["2 resources, 1 errors, 1 warnings"]


FORGED = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        [
            "x\n::error::forged", "x\r\n::set-output name=a::b", "%0A::error::x", "]]><failure>",
            "</failure></testcase><testcase name='forged'>", '"><!--', "&amp;&#x0;", "\x00\x1b[2J",
            "\u2028\u2029\x85\x0b\x0c", '"}],"results":[]', "\ud800", "\ufffe", "\u202egnp.lmay",
        ]
    ),
)  # fmt: skip


@given(FORGED, FORGED, FORGED)
def test_nothing_that_a_file_says_breaks_out_of_a_form(path: str, text: str, field: str) -> None:
    """A pull request's text and file names are a stranger's."""
    text = text or "x"
    problem = Problem(Position(f"{path}.yaml", 1, 1, field), "MT001", text)
    found = Checked(problems=(problem,), files=("a.yaml",), resources=1, folder="p/")
    (line,) = lines(found)
    assert line.isprintable()
    assert all(each.isprintable() for each in summary(checked(*[problem] * 10)))
    (annotation,) = as_annotations(found)
    assert annotation.isprintable()
    assert re.match(r"::error file=[^:,]*,line=1,col=1::MT001 ", annotation)
    assert json.loads(as_json(found))["problems"][0]["message"] == text
    Draft202012Validator(SARIF).validate(sarif(found))
    assert len(sarif(found)["runs"][0]["results"]) == 1
    root = ElementTree.fromstring(as_junit(found))
    assert len(list(root.iter("testcase"))) == 2
    assert len(list(root.iter("failure"))) == 1


def test_what_looks_like_an_escape_of_a_workflow_command_is_none() -> None:
    """GitHub would make a line end of it, and of what follows a command."""
    problem = Problem(Position("a%0Ab,c:d.yaml", 1, 1), "MT001", "x%0A::error::y")
    (annotation,) = as_annotations(checked(problem, folder=""))
    assert annotation == ("::error file=a%250Ab%2Cc%3Ad.yaml,line=1,col=1::MT001 x%250A::error::y")


@pytest.mark.parametrize("found", [checked(), checked(A)])
def test_an_unchanged_repository_is_told_in_the_same_words(found: Checked) -> None:
    """Nothing is a time: CI compares and keeps what it gets."""
    assert as_junit(found) == as_junit(found)
    assert as_sarif(found, {}, URL, "1") == as_sarif(found, {}, URL, "1")
