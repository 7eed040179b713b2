"""The bootstrap as a real kuma-dp 2.14.3 asks for it: one expected file a kind of proxy, and a real
Envoy accepts each.

`make golden` rewrites the files; look at the diff.
"""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.bootstrap_answer import Answer, ZoneFacts, bootstrap_answer
from reconciler.state import from_resources
from tests.support.mesh import a_mesh
from tests.support.real_envoy import envoy_binary
from tests.support.zone import INGRESS, dataplane
from xds.bootstrap import BootstrapInput, bootstrap

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent
CA = (HERE / "ca.pem").read_text()
LEAF = (HERE / "leaf.pem").read_text()
FACTS = ZoneFacts(
    zone="east",
    hosts=("cp.example", "127.0.0.1", "::1", "*.wild.example"),
    ads_port=5679,
    ca_pem=CA,
    health=True,
)
STATE = from_resources((a_mesh(),))
META = {
    "creationTime": "0001-01-01T00:00:00Z",
    "modificationTime": "0001-01-01T00:00:00Z",
    "labels": {"team": "a"},
    "kri": "kri_dp_default___web-1_",
}
# Every key, as it was seen on the wire.
KUMA_DP: dict[str, object] = {
    "mesh": "default",
    "name": "web-1",
    "proxyType": "dataplane",
    "dataplaneToken": "a.b.c",
    "dataplaneTokenPath": "token.jwt",
    "dataplaneResource": json.dumps(dataplane("web-1", "web", "backend") | META),
    "version": {
        "kumaDp": {
            "version": "2.14.3", "gitTag": "2.14.3", "gitCommit": "abc", "buildDate": "2026-01-01",
        },
        "envoy": {"version": "1.38.2", "build": "hash/1.38.2/Clean/RELEASE/BoringSSL",
                  "kumaDpCompatible": True},
    },
    "caCert": CA,
    "dynamicMetadata": {"version.dependencies.coredns": "1.11"},
    "otelEnv": {"pipeEnabled": True},
    "dnsPort": 15054,
    "readinessPort": 9902,
    "appProbeProxyDisabled": True,
    "operatingSystem": "linux",
    "features": [
        "feature-tcp-accesslog-via-named-pipe", "feature-otel-via-kuma-dp",
        "feature-strict-inbound-ports", "feature-reuse-port",
    ],
    "resources": {"maxHeapSizeBytes": 0},
    "workdir": "/var/lib/kuma-dp",
    "metricsResources": {"certPath": "/m/cert.pem", "keyPath": "/m/key.pem"},
    "systemCaPath": "/etc/ssl/certs/ca-certificates.crt",
    "ipv6Enabled": True,
    "spireResources": {"socketPath": "/spire/agent.sock"},
}  # fmt: skip
TPROXY = {
    "ipFamilyMode": "dualstack",
    "redirect": {
        "inbound": {"enabled": True, "port": 15006},
        "outbound": {"enabled": True, "port": 15001},
        "dns": {"enabled": True, "port": 15053},
        "vnet": {"networks": []},
    },
}


def answer(
    *, facts: ZoneFacts = FACTS, host: str = "cp.example", accept: str = "application/json",
    **changes: object,
) -> Answer:  # fmt: skip
    return bootstrap_answer(facts, STATE, {**KUMA_DP, **changes}, host, accept)


def text_of(found: Answer) -> str:
    assert found.status == 200, found
    return base64.b64decode(json.loads(found.body)["bootstrap"]).decode()


def without_outbounds() -> str:
    document: dict[str, Any] = dict(dataplane("web-1", "web", "backend"))
    return json.dumps(document | {"networking": {**document["networking"], "outbound": []}})


def ingress() -> dict[str, Any]:
    return {"mesh": "", "name": "ing-east", "proxyType": "ingress",
            "dataplaneResource": json.dumps(INGRESS)}  # fmt: skip


DELTA = [*KUMA_DP["features"], "feature-delta-grpc"]  # type: ignore[misc]
EGRESS = BootstrapInput(  # refused by this version's registration; the document is there already
    mesh="", name="out", cluster="egress", xds_host="127.0.0.1", xds_port=5679, ca_pem=CA,
    token="a.b.c", proxy_type="egress", workdir="/var/lib/kuma-dp", access_log_sink=True,
)  # fmt: skip
CASES: dict[str, Callable[[], str]] = {
    "sidecar": lambda: text_of(answer()),
    "sidecar-delta-ipv6": lambda: text_of(answer(host="[::1]", features=DELTA)),
    "sidecar-tproxy": lambda: text_of(
        answer(dataplaneConfig=TPROXY, dataplaneResource=without_outbounds())
    ),
    "sidecar-without-workdir": lambda: text_of(answer(workdir="", dnsPort=0, host="127.0.0.1")),
    "sidecar-reloadable-token": lambda: text_of(
        answer(facts=replace(FACTS, reloadable_tokens=True))
    ),
    "sidecar-unified-names": lambda: bootstrap(
        replace(EGRESS, mesh="default", name="web-1", cluster="web", proxy_type="dataplane",
                health=True, unified_names=True)
    ),
    "ingress": lambda: text_of(answer(**ingress())),
    "egress": lambda: bootstrap(EGRESS),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, rewrite_golden: bool) -> None:
    path = HERE / "golden" / f"{case}.json"
    made = json.dumps(json.loads(CASES[case]()), indent=1, sort_keys=True) + "\n"
    if rewrite_golden:
        path.write_text(made)
    assert made == path.read_text()


@pytest.mark.e2e
@pytest.mark.parametrize("case", CASES)
def test_a_real_envoy_accepts_it(case: str, tmp_path: Path) -> None:
    config = tmp_path / "bootstrap.yaml"
    config.write_text(CASES[case]())
    done = subprocess.run(
        [envoy_binary(), "--mode", "validate", "-c", str(config), "-l", "warning"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_request_of_which_nothing_is_set_but_what_must_be() -> None:
    least = {
        "dataplaneToken": "a.b.c",
        "dataplaneResource": KUMA_DP["dataplaneResource"],
        "features": None,
    }
    found = bootstrap_answer(FACTS, STATE, least, "cp.example", "application/json")
    metadata = json.loads(text_of(found))["node"]["metadata"]
    assert metadata["dataplane.proxyType"] == "dataplane"
    assert metadata["features"] == []
    assert "dataplane.dns.port" not in metadata


def test_other_accepts_get_the_bare_document() -> None:
    for accept in ("", "*/*", "application/json, text/yaml"):
        found = answer(accept=accept)
        assert found.content_type == "text/x-yaml"
        assert json.loads(found.body)["node"]["id"] == "default.web-1"


def test_the_sidecars_address_is_told_and_a_zone_proxys_is_not() -> None:
    networking = json.loads(answer().body)["kumaSidecarConfiguration"]["networking"]
    assert networking == {"corefileTemplate": None, "address": "10.0.0.1"}
    networking = json.loads(answer(**ingress()).body)["kumaSidecarConfiguration"]["networking"]
    assert networking == {"corefileTemplate": None}


def test_a_token_that_stands_in_a_file_is_enough() -> None:
    """Kuma asks for one of the two; whether it is good shows on the ADS stream."""
    assert answer(dataplaneToken="").status == 200
    assert answer(dataplaneToken="", dataplaneTokenPath="").status == 422


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("cp.example", 200), ("CP.Example", 200), ("cp.example.", 200), ("127.0.0.1", 200),
        ("::1", 200), ("[0:0::1]", 200), ("a.wild.example", 200), ("a.b.wild.example", 400),
        ("wild.example", 400), ("127.0.0.2", 400), ("other", 400), ("", 400),
    ],
)  # fmt: skip
def test_the_host_must_be_in_the_certificate(host: str, status: int) -> None:
    found = answer(host=host)
    assert found.status == status
    if status == 400:
        assert "cp.example, 127.0.0.1, ::1, *.wild.example" in found.body


def test_a_set_xds_host_is_used_and_not_compared() -> None:
    found = answer(host="anything", facts=replace(FACTS, xds_host="lb.example"))
    (cluster, _) = json.loads(text_of(found))["staticResources"]["clusters"]
    (endpoint,) = cluster["loadAssignment"]["endpoints"][0]["lbEndpoints"]
    assert endpoint["endpoint"]["address"]["socketAddress"]["address"] == "lb.example"


@pytest.mark.parametrize(
    ("pem", "words"),
    [(LEAF, "basic constraint CA is false"), ("x" * 20, "no certificate in PEM")],
)
def test_a_certificate_that_verifies_nobody_is_refused(pem: str, words: str) -> None:
    found = answer(caCert=pem)
    assert found.status == 400
    assert words in found.body
    assert pem not in found.body


@pytest.mark.parametrize(
    ("asked", "named"),
    [("CP.Example.", "cp.example"), ("[0:0::1]", "::1"), ("a.wild.example", "a.wild.example")],
)
def test_envoy_verifies_the_host_in_the_form_that_certificates_have(asked: str, named: str) -> None:
    (secret,) = json.loads(text_of(answer(host=asked)))["staticResources"]["secrets"]
    matchers = secret["validationContext"]["matchTypedSubjectAltNames"]
    assert [m["matcher"]["exact"] for m in matchers] == [named, named]


def test_without_a_ca_of_its_own_a_proxy_gets_the_zones() -> None:
    (secret,) = json.loads(text_of(answer(caCert="")))["staticResources"]["secrets"]
    assert secret["validationContext"]["trustedCa"]["inlineString"] == CA


def test_checks_come_in_kumas_order() -> None:
    """Each request below is wrong in all that follows, too."""
    wrong: dict[str, Any] = {
        "caCert": LEAF,
        "dataplaneConfig": TPROXY,
        "dataplaneResource": json.dumps({**dataplane("w", "web", "b"), "mesh": "none"}),
    }
    assert answer(host="other", dataplaneToken="", dataplaneTokenPath="", **wrong).status == 422
    assert answer(host="other", **wrong).status == 400
    assert "outbound: should be empty" in answer(**wrong).body
    del wrong["dataplaneConfig"]
    assert answer(**wrong).body == 'mesh: mesh "none" does not exist'
    del wrong["dataplaneResource"]
    assert answer(**wrong).body.startswith("caCert: ")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": 5}, "name: must be a text"),
        ({"version": "2.14"}, "version: must be an object"),
        ({"dnsPort": "15054"}, "dnsPort: must be a number"),
        ({"dnsPort": 70000}, "dnsPort: must be a port"),
        ({"readinessPort": True}, "readinessPort: must be a port"),
        ({"ipv6Enabled": 1}, "ipv6Enabled: must be true or false"),
        ({"features": ["a", 1]}, "features: must be a list of at most 100 texts"),
        ({"features": ["a"] * 101}, "features: must be a list of at most 100 texts"),
        ({"spireResources": []}, "spireResources: must be an object"),
        ({"otelEnv": json.loads("[" * 70 + "]" * 70)}, "nested more than 64"),
        ({"dynamicMetadata": {"a": float("inf")}}, "is not JSON"),
        ({"workdir": "\ud800"}, "a part of a character"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(changes: dict[str, Any], words: str) -> None:
    found = answer(**changes)
    assert found.status == 400
    assert words in found.body


def test_a_proxy_that_the_zone_knows_may_ask_by_name() -> None:
    """As on Kubernetes: no document in the request; not there yet is tried again."""
    assert answer(dataplaneResource="") == Answer(404)
