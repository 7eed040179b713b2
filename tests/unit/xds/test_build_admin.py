"""The admin listener and its clusters, as facts/dataplane-wire.md 10.3 has them."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any, cast

from xds import names
from xds.build.admin import admin_shape
from xds.build.listeners import build_listener
from xds.memo import Memo
from xds.readable import readable, readable_snapshot
from xds.snapshot import EMPTY
from xds.view import AdminListener, AdminTls

TLS = AdminTls(b"the CA", b"the chain", b"the key", "kuma-cp")
ADMIN = AdminListener(
    names.ADMIN_LISTENER,
    "10.0.0.8",
    9901,
    names.READINESS_CLUSTER,
    names.ADMIN_CLUSTER,
    TLS,
)


def built(argument: AdminListener) -> dict[str, Any]:
    return cast("dict[str, Any]", readable(build_listener(argument)))


def routes(chain: dict[str, Any]) -> list[tuple[dict[str, str], str, str]]:
    (hcm,) = (f["typedConfig"] for f in chain["filters"])
    (host,) = hcm["routeConfig"]["virtualHosts"]
    return [
        (r["match"], r["route"]["cluster"], r["route"].get("prefixRewrite", ""))
        for r in host["routes"]
    ]


def test_ready_for_all_and_the_rest_for_the_control_plane_alone() -> None:
    listener = built(ADMIN)
    assert listener["name"] == "kuma:envoy:admin"
    address = {"address": "10.0.0.8", "portValue": 9901}
    assert listener["address"] == {"socketAddress": address}
    assert listener["trafficDirection"] == "INBOUND"
    assert listener["enableReusePort"] is True
    assert [f["name"] for f in listener["listenerFilters"]] == [
        "envoy.filters.listener.tls_inspector"
    ]
    plain, secure = listener["filterChains"]
    ready = ({"prefix": "/ready"}, "kuma:readiness", "/ready")
    assert "filterChainMatch" not in plain
    assert "transportSocket" not in plain
    assert routes(plain) == [ready]
    assert secure["filterChainMatch"] == {"transportProtocol": "tls"}
    assert routes(secure) == [ready, ({"prefix": "/"}, "kuma:envoy:admin", "")]
    for chain in (plain, secure):
        hcm = chain["filters"][0]["typedConfig"]
        ranges = hcm["internalAddressConfig"]["cidrRanges"]
        assert [r["addressPrefix"] for r in ranges] == ["127.0.0.1", "::1"]


def test_the_control_planes_chain_takes_its_certificate_only() -> None:
    context = built(ADMIN)["filterChains"][1]["transportSocket"]["typedConfig"]
    assert context["requireClientCertificate"] is True
    common = context["commonTlsContext"]
    (certificate,) = common["tlsCertificates"]
    assert base64.b64decode(certificate["certificateChain"]["inlineBytes"]) == b"the chain"
    assert base64.b64decode(certificate["privateKey"]["inlineBytes"]) == b"the key"
    validation = common["validationContext"]
    assert base64.b64decode(validation["trustedCa"]["inlineBytes"]) == b"the CA"
    assert validation["matchTypedSubjectAltNames"] == [
        {"sanType": "DNS", "matcher": {"exact": "kuma-cp"}}
    ]


def test_without_a_certificate_there_is_no_way_to_the_rest() -> None:
    (plain,) = built(replace(ADMIN, tls=None))["filterChains"]
    assert routes(plain) == [({"prefix": "/ready"}, "kuma:readiness", "/ready")]


def test_listeners_of_many_proxies_are_assembled_not_built() -> None:
    """They differ in address and certificate only."""
    shape = Memo("admin shape", admin_shape, 8)
    for number in range(50):
        tls = replace(TLS, chain_pem=f"chain {number}".encode())
        given = replace(ADMIN, address=f"10.0.0.{number}", tls=tls)
        assert build_listener(given, admin=shape) == build_listener(given)
    assert shape.built == 1


def test_a_key_is_in_no_text() -> None:
    assert "the key" not in repr(ADMIN)
    listener = build_listener(ADMIN)
    shown = readable_snapshot(replace(EMPTY, listeners={listener.name: listener}))
    texts = str(shown)
    assert "[redacted]" in texts
    assert base64.b64encode(b"the key").decode() not in texts
