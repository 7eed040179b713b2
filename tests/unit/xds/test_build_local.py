"""Listeners of plain HTTP on the proxy's host, against the sheet (1.12, 4.2, 10.3)."""

from __future__ import annotations

import hashlib
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import pytest

from xds import names
from xds.build.listeners import build_listener
from xds.readable import readable
from xds.view import DynamicConfigListener, ListenerInput, ProbeListener, ProbeRoute

Json = dict[str, Any]
DNS = '{"records":[{"name":"é.mesh","ips":["240.0.0.0"]}],"ttl":30}'
METRICS = '{"observability":{}}'
CONFIG = DynamicConfigListener(
    names.DYNAMIC_CONFIG_LISTENER, "/run/config.sock", (("/dns", DNS), ("/meshmetric", METRICS))
)
PROBES = ProbeListener(
    names.PROBE_LISTENER,
    "10.0.0.1",
    9000,
    (
        ProbeRoute("/8080/healthz", "/healthz", "localhost:8080"),
        ProbeRoute("/8090/ready", "/ready", port=8090),
    ),
    captured=True,
    reuse_port=True,
)


def listener(argument: ListenerInput) -> Json:
    return cast("Json", deepcopy(readable(build_listener(argument))))


def taken(found: Json) -> Json:
    """The HTTP connection manager, taken out of the listener's only chain."""
    ((chain,),) = [found.pop("filterChains")]
    ((only,),) = [chain.pop("filters")]
    assert chain == {}
    assert only["name"] == "envoy.filters.network.http_connection_manager"
    manager = cast("Json", only["typedConfig"])
    manager.pop("@type")
    (router,) = manager.pop("httpFilters")
    assert router["name"] == "envoy.filters.http.router"
    ranges = manager.pop("internalAddressConfig")["cidrRanges"]
    assert [each["addressPrefix"] for each in ranges] == ["127.0.0.1", "::1"]
    return manager


# --- dynamic configuration ---


def document(path: str, body: str) -> list[Json]:
    etag = hashlib.sha256(body.encode()).hexdigest()
    has_it = {"name": "If-None-Match", "stringMatch": {"exact": etag}}
    return [
        {"match": {"path": path, "headers": [has_it]}, "directResponse": {"status": 304}},
        {
            "name": f"_kuma:dynamicconfig:{path}",
            "match": {"path": path},
            "directResponse": {"status": 200, "body": {"inlineString": body}},
            "responseHeadersToAdd": [{"header": {"key": "Etag", "value": etag}}],
        },
    ]


def test_documents_for_kuma_dp_have_the_shape_of_the_sheet() -> None:
    """The size is that of the longest, in bytes: a longer body would be refused with the whole
    listener.
    """
    found = listener(CONFIG)
    manager = taken(found)
    assert found == {"name": "_kuma:dynamicconfig", "address": {"pipe": {"path": CONFIG.path}}}
    routes = [*document("/dns", DNS), *document("/meshmetric", METRICS)]
    assert manager == {
        "statPrefix": "_kuma_dynamicconfig",
        "routeConfig": {
            "maxDirectResponseBodySizeBytes": len(DNS.encode()),
            "virtualHosts": [
                {"name": "_kuma:dynamicconfig", "domains": ["*"], "routes": routes},
            ],
        },
    }
    assert len(DNS.encode()) > len(DNS)


def test_the_same_documents_on_another_socket_differ_in_the_socket_alone() -> None:
    there = listener(replace(CONFIG, path="/run/other.sock"))
    assert there.pop("address") == {"pipe": {"path": "/run/other.sock"}}
    here = listener(CONFIG)
    here.pop("address")
    assert there == here


# --- probes ---


def test_probes_are_led_to_the_application_or_sent_to_it() -> None:
    found = listener(PROBES)
    manager = taken(found)
    assert found == {
        "name": "probe:listener",
        "address": {"socketAddress": {"address": "10.0.0.1", "portValue": 9000}},
        "trafficDirection": "INBOUND",
        "enableReusePort": True,
        "bindToPort": False,
    }
    get = [{"name": ":method", "stringMatch": {"exact": "GET"}}]
    rewrite = {"pattern": {"regex": ".*"}, "substitution": "/healthz"}
    assert manager == {
        "statPrefix": "probe_listener",
        "routeConfig": {
            "name": "probe:route_configuration",
            "virtualHosts": [
                {
                    "name": "probe",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"path": "/8080/healthz", "headers": get},
                            "route": {"cluster": "localhost:8080", "regexRewrite": rewrite},
                        },
                        {
                            "match": {"path": "/8090/ready", "headers": get},
                            "redirect": {"pathRedirect": "/ready", "portRedirect": 8090},
                        },
                    ],
                }
            ],
        },
    }


@pytest.mark.parametrize("reuse", [True, False])
def test_a_probe_listener_that_is_not_captured_binds(reuse: bool) -> None:
    found = listener(replace(PROBES, captured=False, reuse_port=reuse))
    assert "bindToPort" not in found
    assert found["enableReusePort"] is reuse
