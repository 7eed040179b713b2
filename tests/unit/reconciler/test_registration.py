"""What a proxy says of itself: taken as the zone's resource, or refused with words."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from reconciler.bootstrap_answer import Answer, ZoneFacts, bootstrap_answer
from reconciler.ca.server_tls import new_server_tls
from reconciler.model.resource import MeshResource
from reconciler.model.spec import ZoneIngressSpec
from reconciler.registration import NotAdmitted, declared, identity_uris, traits_of
from reconciler.state import from_resources
from tests.support.mesh import a_mesh
from tests.support.zone import INGRESS, dataplane
from xds.discovery import Node

FACTS = ZoneFacts(
    zone="east",
    hosts=("cp.example", "127.0.0.1"),
    ads_port=5679,
    ca_pem=new_server_tls("east", ("cp.example",), 1_700_000_000.0).ca_pem.decode(),
)
STATE = from_resources((a_mesh(),))
WEB = dataplane("web-1", "web", "backend")


def introduced(text: str, **metadata: object) -> MeshResource | NotAdmitted:
    return declared(
        Node("default.web-1", metadata={"dataplane.resource": text, **metadata}), "east"
    )


def with_networking(**changes: object) -> str:
    return json.dumps({**WEB, "networking": {**WEB["networking"], **changes}})


def within(value: str) -> str:
    """The document of a proxy with this JSON in a field that nobody reads."""
    return json.dumps(WEB)[:-1] + f', "note": {value}}}'


REFUSED = {
    "no JSON": ("{", "is not JSON"),
    "a list": ("[]", "is not an object"),
    "deep": (within("[" * 64 + "]" * 64), "nested more than 64"),
    "so deep that no parser reads it": (within("[" * 99_000 + "]" * 99_000), "nested more than 64"),
    "a number beyond all others": (within("1e999"), "is not JSON"),
    "no number": (within("NaN"), "is not JSON"),
    "half of a character": (within(r'"\ud800"'), "part of a character"),
    "what Kuma's message cannot hold": (
        with_networking(transparentProxying={"redirectPortOutbound": 2**40}),
        "redirectPortOutbound",
    ),
    "a service named as the proxy's own admin": (
        with_networking(outbound=[{"port": 1, "tags": {"kuma.io/service": "kuma:envoy:admin"}}]),
        'proxies use "kuma:envoy:admin" for themselves',
    ),
    "a service named as an application's cluster": (
        with_networking(outbound=[{"port": 1, "tags": {"kuma.io/service": "localhost:8080"}}]),
        'networking.outbound[0].tags["kuma.io/service"]',
    ),
    "a gateway that nothing is computed for": (
        with_networking(
            inbound=[], outbound=[], gateway={"type": "BUILTIN", "tags": {"kuma.io/service": "gw"}}
        ),
        "serves no BUILTIN gateway; use DELEGATED",
    ),
    "an egress that listens nowhere": (
        json.dumps({"type": "ZoneEgress", "name": "out", "networking": {"port": 1}}),
        "networking.address: must be set",
    ),
    "an ingress that listens nowhere": (
        json.dumps({**INGRESS, "networking": {"port": 10001}}),
        "networking.address: must be set",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_document_that_cannot_be_is_refused_with_words_in_both_answers(case: str) -> None:
    text, words = REFUSED[case]
    found = introduced(text)
    assert isinstance(found, NotAdmitted)
    assert words in found.reason
    kinds = {'"ZoneIngress"': "ingress", '"ZoneEgress"': "egress"}
    kind = next((kind for word, kind in kinds.items() if word in text), "dataplane")
    answer = asked(text, proxy_type=kind)
    assert answer.status == 422
    assert words in answer.body


def test_document_of_sixty_four_levels_is_taken() -> None:
    """As many as a document of the repository and a resource on the wire may have."""
    assert isinstance(introduced(within("[" * 63 + "1" + "]" * 63)), MeshResource)


def test_ports_that_are_none_are_no_ports() -> None:
    """Node metadata is a proxy's own; it may not stop the zone."""
    resource = introduced(json.dumps(WEB))
    assert isinstance(resource, MeshResource)
    for value in ("70000", "9" * 5000, "-1", "", "x"):
        metadata = {"dataplane.admin.port": value, "dataplane.readinessReporter.port": value}
        traits = traits_of(Node("default.web-1", metadata=metadata), resource)
        assert (traits.admin_port, traits.readiness_port) == (0, 0)
    metadata = {"dataplane.admin.port": "9901", "dataplane.readinessReporter.port": "9902"}
    traits = traits_of(Node("default.web-1", metadata=metadata), resource)
    assert (traits.admin_port, traits.readiness_port) == (9901, 9902)


def test_ingress_cannot_say_what_it_offers() -> None:
    claimed = {**INGRESS, "zone": "west", "availableServices": [{"tags": {"kuma.io/service": "x"}}]}
    found = introduced(json.dumps(claimed))
    assert isinstance(found, MeshResource)
    assert isinstance(found.spec, ZoneIngressSpec)
    assert (found.spec.zone, found.spec.available_services) == ("east", ())


def test_certificate_names_every_service_then_every_tag_of_the_proxy() -> None:
    inbounds = [
        {"port": 80, "servicePort": 8080, "tags": {"kuma.io/service": "web", "version": "v1"}},
        {"port": 81, "servicePort": 8081, "tags": {"kuma.io/service": "api"}},
    ]
    found = introduced(with_networking(inbound=inbounds))
    assert isinstance(found, MeshResource)
    assert identity_uris(found) == (
        "spiffe://default/api",
        "spiffe://default/web",
        "kuma://kuma.io/service/api",
        "kuma://kuma.io/service/web",
        "kuma://kuma.io/zone/east",
        "kuma://version/v1",
    )
    again = introduced(with_networking(inbound=inbounds))
    assert isinstance(again, MeshResource)
    assert identity_uris(again) is identity_uris(found)  # One object for all instances.


# --- the bootstrap's answer ---


def asked(
    text: str, *, host: str = "cp.example", proxy_type: str = "dataplane", **changes: Any
) -> Answer:
    request = {
        "name": "web-1",
        "mesh": "default",
        "proxyType": proxy_type,
        "dataplaneToken": "a.b.c",
        "dataplaneResource": text,
        **changes,
    }
    return bootstrap_answer(FACTS, STATE, request, host, "application/json")


def test_proxy_that_names_a_registered_resource_can_introduce_itself_with_it() -> None:
    """kuma-dp without a file of its own: what the bootstrap gave it, ADS has to take."""
    registered = introduced(json.dumps({**WEB, "labels": {"team": "a"}}))
    assert isinstance(registered, MeshResource)
    request = {"mesh": "default", "name": "web-1", "dataplaneToken": "a.b.c"}
    state = from_resources((a_mesh(), registered))
    answer = bootstrap_answer(FACTS, state, request, "cp.example", "")
    assert answer.status == 200, answer.body
    metadata = json.loads(answer.body)["node"]["metadata"]
    assert introduced(metadata["dataplane.resource"]) == registered


def test_egress_gets_a_bootstrap_of_its_own_kind() -> None:
    networking = {"address": "10.0.0.1", "port": 10002}
    text = json.dumps({"type": "ZoneEgress", "name": "out", "networking": networking})
    answer = asked(text, proxy_type="egress", mesh="")
    assert answer.status == 200, answer.body
    document = json.loads(base64.b64decode(json.loads(answer.body)["bootstrap"]))
    assert (document["node"]["id"], document["node"]["cluster"]) == (".out", "egress")
    assert document["node"]["metadata"]["dataplane.proxyType"] == "egress"
    assert "hdsConfig" not in document
    assert asked(text, proxy_type="ingress").status == 422


def test_codes_tell_a_proxy_whether_to_try_again() -> None:
    text = json.dumps(WEB)
    assert asked(text).status == 200
    assert asked(text, dataplaneToken="").status == 422
    foreign = asked(text, host="other.example")
    assert foreign.status == 400
    assert "cp.example, 127.0.0.1" in foreign.body
    assert asked(text, proxy_type="ingress").status == 422
    assert asked(text, proxy_type="gateway").status == 422
    elsewhere = asked(json.dumps({**WEB, "mesh": "none"}))
    assert (elsewhere.status, elsewhere.body) == (422, 'mesh: mesh "none" does not exist')
    assert asked("", name="unknown") == Answer(404)  # An empty body: it is tried again.
