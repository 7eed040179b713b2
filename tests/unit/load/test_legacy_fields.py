"""Documents of legacy kinds are checked against their message, and nobody is left to guess."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.kds.codec import canonical_data
from reconciler.legacy_fields import read_legacy
from reconciler.load import Blob, LoadMemo, load
from reconciler.model.kinds import KINDS
from reconciler.problems import Severity
from reconciler.standing import as_carried
from tests.support.golden_frames import documents, spec_of

if TYPE_CHECKING:
    from reconciler.load import Loaded

FROM_GIT = sorted(
    k.name for k in KINDS.values() if k.legacy and k.down and not k.read_only and k.name != "Mesh"
)
FROM_GIT = [name for name in FROM_GIT if name not in ("Config", "Secret", "GlobalSecret")]
HEAD = "type: Mesh\nname: default\n---\n"


def loaded(text: str, *, strict: bool = False) -> Loaded:
    files = {"p.yaml": Blob("", (HEAD + text).encode())}
    if strict:
        files["reconciler.yaml"] = Blob("", b"strict: true")
    return load(files, LoadMemo())


def problems(text: str, *, strict: bool = False) -> list[str]:
    return [str(problem) for problem in loaded(text, strict=strict).problems]


def faults(type_: str, spec: Any) -> list[tuple[str, str]]:
    """Dotted place and code of each fault."""
    _, found = read_legacy(type_, spec)
    return [(".".join(map(str, fault.path)), fault.code) for fault in found]


def test_these_kinds_are_meant() -> None:
    assert len(FROM_GIT) == 15


@pytest.mark.parametrize("type_", FROM_GIT)
def test_a_right_document_has_no_fault_and_stays_as_it_is(type_: str) -> None:
    for document in documents(type_):
        assert faults(type_, spec_of(document)) == []
        assert canonical_data(type_, read_legacy(type_, spec_of(document))[0]) == spec_of(document)


@pytest.mark.parametrize("type_", FROM_GIT)
def test_an_unknown_field_is_told_with_its_place(type_: str) -> None:
    text = f"type: {type_}\nmesh: default\nname: x\nnothing: 1\n"
    (warning,) = (p for p in loaded(text).problems if p.severity == "warning")
    assert (warning.severity, warning.code) == (Severity.WARNING, "SCH005")
    assert (warning.at.path, warning.at.line, warning.at.column) == ("p.yaml", 7, 1)
    assert 'unknown field "nothing"; ' in warning.message
    (error,) = (p for p in loaded(text, strict=True).problems if p.code == "SCH005")
    assert error.severity is Severity.ERROR


RETRY = "type: Retry\nmesh: default\nname: r\nconf:\n"
SOURCES = 'sources: [{match: {kuma.io/service: "*"}}]'
DESTINATIONS = "destinations: [{match: {kuma.io/service: backend}}]"
BOTH = f"{SOURCES}\n{DESTINATIONS}\n"


@pytest.mark.parametrize(
    ("conf", "told"),
    [
        (
            "  htp: {}\n  tcp: {maxConnectAttempts: 1}\n",
            '8:3: SCH005 warning: unknown field "htp"; did you mean "http"?',
        ),
        ("  http: 5\n", "8:9: SCH001 must be an object, not 5"),
        ("  http: {retryOn: reset}\n", '8:19: SCH001 must be a list, not "reset"'),
        (
            "  http: {retryOn: [gateway_eror]}\n",
            "8:20: SCH004 must be one of all_5xx, gateway_error, reset, connect_failure, "
            "envoy_ratelimited, retriable_4xx, refused_stream, retriable_status_codes, "
            'retriable_headers, http3_post_connect_failure, not "gateway_eror" '
            '(did you mean "gateway_error"?)',
        ),
        (
            "  http: {perTryTimeout: 5}\n",
            "8:25: SCH001 must be text, not 5; write it like 1m30s",
        ),
        (
            "  http: {perTryTimeout: soon}\n",
            '8:25: SCH002 "soon" is not a duration; write it like 1m30s',
        ),
        ("  http: {numRetries: many}\n", '8:22: SCH001 must be a whole number, not "many"'),
        ("  http: {numRetries: 1.5}\n", "8:22: SCH001 must be a whole number, not 1.5"),
        ("  http: {numRetries: -1}\n", "8:22: SCH002 -1 is out of range; the minimum is 0"),
        (
            "  http: {numRetries: 4294967296}\n",
            "8:22: SCH002 4294967296 is out of range; the maximum is 4294967295",
        ),
        (
            "  http: {numRetries: true}\n",
            "8:22: SCH001 must be a whole number, not true",
        ),
    ],
)
def test_what_is_wrong_is_told_with_place_and_cure(conf: str, told: str) -> None:
    (found,) = problems(RETRY + conf + BOTH)
    assert told in found


@pytest.mark.parametrize(
    ("type_", "spec", "expected"),
    [
        ("ExternalService", {"networking": {"tls": {"enabled": "yes"}}}, "SCH001"),
        ("ExternalService", {"networking": {"address": 443}}, "SCH001"),
        ("ExternalService", {"networking": {"tls": {"caCert": {"inline": "%%"}}}}, "SCH002"),
        ("ExternalService", {"networking": {"tls": {"serverName": 5}}}, "SCH001"),
        ("ExternalService", {"tags": ["a"]}, "SCH001"),
        ("ExternalService", {"tags": {"a": 1}}, "SCH001"),
        (
            "CircuitBreaker",
            {"conf": {"detectors": {"standardDeviation": {"factor": "x"}}}},
            "SCH001",
        ),
        ("HealthCheck", {"conf": {"healthyPanicThreshold": 1e39}}, "SCH002"),
        ("MeshGateway", {"conf": {"listeners": [{"protocol": "2"}]}}, "SCH004"),
        ("TrafficRoute", {"conf": {"loadBalancer": {"random": 1, "maglev": {}}}}, "SCH001"),
        ("RateLimit", {"conf": {"http": {"requests": "1e2"}}}, "SCH001"),
        ("RateLimit", {"conf": {"http": {"requests": "01"}}}, "SCH001"),
        ("RateLimit", {"conf": {"http": {"requests": "5.0"}}}, "SCH001"),
        ("RateLimit", {"conf": {"http": {"requests": "NaN"}}}, "SCH001"),
        ("HealthCheck", {"conf": {"tcp": {"send": [1, 256]}}}, "SCH001"),
        ("HealthCheck", {"conf": {"tcp": {"send": [True]}}}, "SCH001"),
    ],
)
def test_a_wrong_value_is_one_fault(type_: str, spec: Any, expected: str) -> None:
    _, found = read_legacy(type_, spec)
    (code,) = [fault.code for fault in found if not fault.warning]
    assert code == expected


@pytest.mark.parametrize(
    ("type_", "spec", "passed_over", "carried"),
    [
        (
            "Timeout",
            {"conf": {"connectTimeout": "1s", "connect_timeout": "2s"}},
            "conf.connect_timeout",
            {"conf": {"connectTimeout": "1s"}},
        ),
        (
            "TrafficRoute",
            {"conf": {"loadBalancer": {"maglev": {}, "random": {}}}},
            "conf.loadBalancer.random",
            {"conf": {"loadBalancer": {"maglev": {}}}},
        ),
    ],
)
def test_of_two_that_exclude_each_other_one_counts_and_the_other_is_told(
    type_: str, spec: Any, passed_over: str, carried: Any
) -> None:
    data, (found,) = read_legacy(type_, spec)
    assert (".".join(map(str, found.path)), found.code) == (passed_over, "VAL007")
    assert found.warning
    assert canonical_data(type_, data) == carried


# --- what Kuma takes ---


@pytest.mark.parametrize(
    ("written", "carried"),
    [("10s", "10s"), ("1m30s", "90s"), ("0.25s", "0.250s"), ("25ms", "0.025s"), ("1h", "3600s"),
     ("0", "0s"), ("0.000000001s", "0.000000001s"), ("-1s", "-1s"), ("5ns", "0.000001s")],
)  # fmt: skip
def test_durations_are_gos_and_protobufs(written: str, carried: str) -> None:
    data = read_legacy("Timeout", {"conf": {"connectTimeout": written}})[0]
    assert canonical_data("Timeout", data) == {"conf": {"connectTimeout": carried}}


@pytest.mark.parametrize(
    ("type_", "written", "carried"),
    [
        (
            "Timeout",
            {"conf": {"connect_timeout": "1s", "http": {"request_timeout": "2s"}}},
            {"conf": {"connectTimeout": "1s", "http": {"requestTimeout": "2s"}}},
        ),
        (
            "RateLimit",
            {"conf": {"http": {"requests": "5", "onRateLimit": {"status": "423"}}}},
            {"conf": {"http": {"requests": 5, "onRateLimit": {"status": 423}}}},
        ),
        ("RateLimit", {"conf": {"http": {"requests": 5.0}}}, {"conf": {"http": {"requests": 5}}}),
        ("TrafficLog", {"sources": None, "conf": {"backend": None}}, {"conf": {}}),
        (
            "Retry",
            {"conf": {"http": {"retriableMethods": [3, "PUT"]}}},
            {"conf": {"http": {"retriableMethods": ["GET", "PUT"]}}},
        ),
        ("TrafficPermission", {"sources": [None]}, {"sources": [{}]}),
        (
            "HealthCheck",
            {"conf": {"tcp": {"send": [1, None]}}},
            {"conf": {"tcp": {"send": "AQA="}}},
        ),
        (
            "HealthCheck",
            {"conf": {"healthyPanicThreshold": "NaN", "intervalJitterPercent": "null"}},
            {"conf": {"healthyPanicThreshold": "NaN"}},
        ),
    ],
)
def test_other_spellings_that_kuma_reads_are_read(
    type_: str, written: dict[str, Any], carried: dict[str, Any]
) -> None:
    assert faults(type_, written) == []
    assert canonical_data(type_, read_legacy(type_, written)[0]) == carried


def test_the_kubernetes_form_has_its_own_places() -> None:
    text = (
        "apiVersion: kuma.io/v1alpha1\nkind: TrafficLog\nmesh: default\n"
        f"metadata: {{name: x}}\nspec:\n  conf: {{backnd: file}}\n  {SOURCES}\n  {DESTINATIONS}\n"
    )
    (found,) = problems(text)
    assert found.startswith(
        'p.yaml:9:10: SCH005 warning: unknown field "backnd"; did you mean "backend"?'
    )


def test_what_a_commit_says_is_what_is_carried() -> None:
    text = f"{RETRY}  http: {{perTryTimeout: 1m}}\n{BOTH}"
    (found,) = [r for r in loaded(text).resources if r.key.type == "Retry"]
    carried = json.loads(as_carried(found).body)
    assert carried["conf"] == {"http": {"perTryTimeout": "60s"}}


# --- kinds with JSON and no schema ---


def test_a_kind_without_a_schema_is_carried_as_its_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.folded_names.schema_faults", lambda *_: ())
    text = "type: MeshTrust\nmesh: default\nname: t\nspec: {trustDomain: a, caBundles: []}\n"
    found = loaded(text)
    assert found.problems == ()
    (trust,) = [r for r in found.resources if r.key.type == "MeshTrust"]
    assert json.loads(trust.body) == {"trustDomain": "a", "caBundles": []}


def test_its_spec_is_an_object_and_outside_of_it_nothing_is_passed_over() -> None:
    head = "type: MeshIdentity\nmesh: default\nname: t\n"
    (found,) = problems(f"{head}spec: [1]\n")
    assert "p.yaml:7:7: DOC004" in found
    (found,) = problems(f"{head}spec: {{}}\ntrustDomain: a\n")
    assert 'p.yaml:8:1: SCH005 warning: unknown field "trustDomain"' in found


# --- policies ---


@pytest.mark.parametrize("type_", sorted(k.name for k in KINDS.values() if k.policy))
def test_policies_of_every_kind_are_looked_into(type_: str) -> None:
    """A real zone ends its stream on an object that is none: no such thing may leave Git."""
    head = f"type: {type_}\nmesh: default\nname: x\nspec:\n"
    found = "".join(problems(f"{head}  targetRef: Mesh\n"))
    assert 'p.yaml:8:14: SCH001 must be an object, not "Mesh"' in found
    found = "".join(problems(f"{head}  form: []\n"))
    assert 'p.yaml:8:3: SCH005 warning: unknown field "form"' in found


# --- a kind's own rules see what its message holds ---

PROBE = (
    "type: HealthCheck\nname: probe\nmesh: default\n"
    'sources: [{match: {kuma.io/service: "*"}}]\n'
    "destinations: [{match: {kuma.io/service: backend}}]\nconf:\n  interval: 10s\n  timeout: 2s\n"
)


def errors(text: str) -> list[str]:
    found = loaded(text).problems
    return [f"{p.at.line - 3}:{p.at.column} {p.at.field} {p.code}" for p in found]


def test_a_rule_finds_a_field_under_the_name_in_the_proto_file() -> None:
    conf = "  unhealthy_threshold: 0\n  healthy_threshold: 1\n"
    conf += "  http: {path: /, expected_statuses: [9]}\n"
    assert errors(PROBE + conf) == [
        "9:24 conf.unhealthyThreshold VAL003",
        "11:39 conf.http.expectedStatuses[0] VAL003",
    ]


def test_a_rule_finds_a_number_in_quotes() -> None:
    found = errors(PROBE + '  unhealthyThreshold: "0"\n  healthyThreshold: "1"\n')
    assert found == ["9:23 conf.unhealthyThreshold VAL003"]


def test_what_could_not_be_read_is_told_once() -> None:
    text = PROBE.replace("10s", "soon") + "  unhealthyThreshold: x\n  healthyThreshold: 1\n"
    assert errors(text) == [
        "7:13 conf.interval SCH002",
        "9:23 conf.unhealthyThreshold SCH001",
    ]


def test_the_schema_of_a_legacy_kind_makes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("reconciler.folded_names.schema_faults", refuse)
    text = "type: Zone\nname: east\nenabled: false\n---\n" + PROBE
    assert errors(text + "  unhealthyThreshold: 1\n  healthy_threshold: 1\n") == []
