"""Rules of a Mesh that its schema cannot say; docs/reference/problems.md shows one of each code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler.checks.mesh import check
from reconciler.legacy_fields import read_legacy
from reconciler.problems import Position

if TYPE_CHECKING:
    from reconciler.model.decode import Fields
    from reconciler.problems import Path


def told(spec: Fields) -> list[str]:
    """`path code` of every problem of a document; warnings are marked."""

    def at(path: Path) -> Position:
        return Position("", field=".".join(map(str, path)))

    data, faults = read_legacy("Mesh", spec)
    assert [fault for fault in faults if not fault.unknown_field] == []
    return [
        f"{problem.at.field} {problem.code}{'' if problem.severity == 'error' else '?'}"
        for problem in check(data, at)
    ]


def backend(section: str, type_: str, conf: Fields) -> Fields:
    return {section: {"backends": [{"name": "b", "type": type_, "conf": conf}]}}


@pytest.mark.parametrize(
    ("section", "type_", "conf", "faults"),
    [
        ("mtls", "builtin", {}, []),
        ("mtls", "builtin", {"caCert": {"RSAbits": 2048, "expiration": "10y"}}, []),
        ("mtls", "builtin", {"caCert": {"RSAbits": 8192.0, "expiration": "100y"}}, []),
        ("mtls", "builtin", {"caCert": {"RSAbits": 2047}}, ["caCert.RSAbits MSH006?"]),
        ("mtls", "builtin", {"caCert": {"RSAbits": 1023}}, ["caCert.RSAbits MSH006"]),
        ("mtls", "builtin", {"caCert": {"RSAbits": "4096"}}, []),
        ("mtls", "builtin", {"caCert": {"RSAbits": 0}}, []),
        ("mtls", "builtin", {"caCert": {"RSAbits": 8193}}, ["caCert.RSAbits MSH006"]),
        ("mtls", "builtin", {"caCert": {"RSAbits": True}}, [" MSH008"]),
        ("mtls", "builtin", {"caCert": {"expiration": "101y"}}, ["caCert.expiration MSH006?"]),
        ("mtls", "builtin", {"caCert": {"expiration": "1h30m"}}, ["caCert.expiration MSH006"]),
        ("mtls", "builtin", {"caCert": {"expiration": 5}}, [" MSH008"]),
        ("mtls", "provided", {"cert": {"inlineString": "x"}, "key": {"secret": "s"}}, []),
        ("mtls", "provided", {"cert": {"inline": "eA=="}, "key": {"secret": "s"}}, []),
        ("mtls", "provided", {"cert": {"inline": "x"}, "key": {"secret": "s"}}, [" MSH008"]),
        ("mtls", "provided", {"cert": {"file": "x"}, "key": {"file": "s"}},
         ["cert.file MSH011", "key.file MSH011"]),
        ("mtls", "provided", {}, ["cert MSH008", "key MSH008"]),
        ("mtls", "provided", {"cert": {"file": "x"}, "key": {"inline": "eA=="}},
         ["cert.file MSH011", "key.inline MSH009"]),
        ("mtls", "provided", {"cert": {"secret": ""}, "key": {"inlineString": ""}},
         ["cert.secret MSH008"]),
        ("mtls", "provided", {"cert": {"secret": "s"}, "key": {"inlineString": ""}},
         ["cert MSH008"]),
        ("tracing", "zipkin", {"url": "http://zipkin:9411/api", "apiVersion": "httpProto"}, []),
        ("tracing", "zipkin", {"url": "http://[::1]:9411"}, []),
        ("tracing", "zipkin", {"url": "http://zipkin/api"}, ["url MSH008"]),
        ("tracing", "zipkin", {"url": "zipkin:9411"}, ["url MSH008"]),
        ("tracing", "zipkin", {"url": "http://zipkin:99999"}, []),
        ("tracing", "zipkin", {"url": "http://z:1", "apiVersion": "v1"}, ["apiVersion MSH008"]),
        ("tracing", "datadog", {"address": "agent", "port": 8126}, []),
        ("tracing", "datadog", {}, ["address VAL001", "port MSH008"]),
        ("tracing", "datadog", {"address": "agent", "port": 0}, ["port MSH008"]),
        ("logging", "file", {"path": "/dev/stdout"}, []),
        ("logging", "file", {}, ["path VAL001"]),
        ("logging", "tcp", {"address": "logs:5000"}, []),
        ("logging", "tcp", {"address": "logs"}, ["address MSH008"]),
        ("logging", "tcp", {"address": "logs:70000"}, ["address MSH008?"]),
        ("metrics", "prometheus", {}, []),
        ("metrics", "prometheus", {"port": 65536}, ["port MSH008?"]),
        ("metrics", "prometheus", {"tls": {"mode": "off"}}, [" MSH008"]),
        ("metrics", "prometheus", {"skipMTLS": True, "tls": {"mode": "disabled"}}, []),
        ("metrics", "prometheus", {"skipMTLS": False, "tls": {"mode": "activeMTLSBackend"}}, []),
        ("metrics", "prometheus", {"skipMTLS": False, "tls": {"mode": "disabled"}},
         [" MSH008"]),
        ("metrics", "prometheus", {"skipMTLS": True, "tls": {"mode": "activeMTLSBackend"}},
         [" MSH008"]),
        ("metrics", "prometheus", {"aggregate": [{"name": "a"}, {"name": "b"}]}, []),
        ("metrics", "prometheus", {"aggregate": [{"name": "a"}, {"name": "a"}]},
         ["aggregate.1.name MSH002"]),
    ],
)  # fmt: skip
def test_the_conf_of_a_backend_fits_its_type(
    section: str, type_: str, conf: Fields, faults: list[str]
) -> None:
    conf_name = "config" if section in ("logging", "tracing") else "conf"
    place = f"{section}.backends.0.{conf_name}"
    expected = [place + (fault if fault[0] == " " else f".{fault}") for fault in faults]
    assert told(backend(section, type_, conf)) == expected


def test_each_section_has_its_own_types() -> None:
    for section, type_ in (("mtls", "zipkin"), ("tracing", "file"), ("metrics", "builtin")):
        assert told(backend(section, type_, {})) == [f"{section}.backends.0.type MSH005"]


def test_lifetimes_of_workload_certificates_have_the_same_limit() -> None:
    rotation = {"name": "b", "type": "builtin", "dpCert": {"rotation": {"expiration": "101y"}}}
    assert told({"mtls": {"backends": [rotation]}}) == [
        "mtls.backends.0.dpCert.rotation.expiration MSH006?"
    ]


@pytest.mark.parametrize(
    ("spec", "faults"),
    [
        ({}, []),
        ({"mtls": {}}, []),
        ({"mtls": {"enabledBackend": ""}}, []),
        ({"mtls": {"enabledBackend": "x"}}, ["mtls.enabledBackend MSH003"]),
        ({"tracing": {"defaultBackend": "x"}}, ["tracing.defaultBackend MSH003"]),
        ({"metrics": {"enabledBackend": "x"}}, ["metrics.enabledBackend MSH003"]),
        ({"routing": {"zoneEgress": False}}, []),
        ({"routing": {"zoneEgress": True}}, ["mtls MSH004"]),
        ({"routing": {"zoneEgress": True}, "mtls": {"enabledBackend": "x"}},
         ["mtls.enabledBackend MSH003"]),
        ({"constraints": {"dataplaneProxy": {"restrictions": [{"tags": {"a": "b"}}, {}]}}},
         ["constraints.dataplaneProxy.restrictions.1.tags VAL001"]),
        ({"mtls": {"backends": [{"name": "a", "type": "builtin", "dpCert": {}}]}},
         ["mtls.dpcert.rotation.expiration MSH006"]),
    ],
)  # fmt: skip
def test_what_is_chosen_exists_and_what_is_broken_is_left_to_the_schema(
    spec: Fields, faults: list[str]
) -> None:
    assert told(spec) == faults


def test_too_many_backends_and_a_second_name_are_told_apart() -> None:
    """Two are what a rotation takes; every one of them is a CA that each proxy holds."""
    several = [{"name": f"b{n}", "type": "builtin"} for n in range(10)]
    assert told({"mtls": {"backends": several}}) == []
    assert told({"mtls": {"backends": [*several, {"name": "b0", "type": "builtin"}]}}) == [
        "mtls.backends MSH001",
        "mtls.backends.10.name MSH002",
    ]


@pytest.mark.parametrize("name", ["../x", "a b", "a/b", "A", "x" * 48, "x.new", ".".join("x" * 76)])
@pytest.mark.parametrize("skip", [False, True])
def test_a_backends_name_can_be_a_part_of_a_file_name(name: str, skip: bool) -> None:
    backends = [{"name": name, "type": "builtin"}]
    assert told({"mtls": {"skipValidation": skip, "backends": backends}}) == [
        "mtls.backends.0.conf.mtls.backends.name MSH010"
    ]


def test_authorities_are_asked_once_all_else_is_right() -> None:
    wrong = {"name": "A", "type": "vault"}
    assert told({"mtls": {"backends": [wrong]}}) == ["mtls.backends.0.type MSH005"]
    assert told({"mtls": {"enabledBackend": "x", "backends": [wrong]}}) == [
        "mtls.enabledBackend MSH003"
    ]
