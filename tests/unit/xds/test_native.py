"""Data as resources of Envoy's API: what Kuma's zones read is read, what its rules refuse is
refused. The verdicts on whole documents are in tests/verdicts/proxy_template.yaml.
"""

from __future__ import annotations

import pytest

from xds.native import judged, judged_any
from xds.native_json import message_type
from xds.native_rules import native_rules

CLUSTER = "envoy.config.cluster.v3.Cluster"
HOST = "envoy.config.route.v3.VirtualHost"
LISTENER = "envoy.config.listener.v3.Listener"
HTTP_FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
URL = "type.googleapis.com/"
ROUTE = {"match": {"prefix": "/"}, "route": {"cluster": "a"}}


def host(**values: object) -> dict[str, object]:
    return {"name": "a", "domains": ["*"], **values}


@pytest.mark.parametrize(
    ("type_name", "data"),
    [
        (CLUSTER, {"name": "a", "connectTimeout": "1m0.5s", "lb_policy": "MAGLEV"}),
        (CLUSTER, {"name": "a", "per_connection_buffer_limit_bytes": "32768", "nonsense": 1}),
        (CLUSTER, {"name": "a", "connect_timeout": None, "health_checks": None}),
        (CLUSTER, {"name": "a", "max_requests_per_connection": 1e3}),
        (CLUSTER, {"name": "a", "type": "STATIC", "cluster_type": {"name": "b"}}),
        (HOST, host(routes=[ROUTE], require_tls=1)),
        (LISTENER, {}),
        (LISTENER, None),
        (HTTP_FILTER, {"name": "a", "typed_config": {"@type": URL + HOST}}),
        (HTTP_FILTER, {"name": "a", "typed_config": {"@type": URL + "xds.type.v3.TypedStruct"}}),
    ],
)
def test_what_zones_read_is_a_resource(type_name: str, data: object) -> None:
    assert judged(type_name, data, whole=True).fault is None


@pytest.mark.parametrize(
    ("type_name", "data", "text"),
    [
        (CLUSTER, [], "the resource must be an object"),
        (CLUSTER, {"name": 1}, "name must be text"),
        (CLUSTER, {"connect_timeout": 5}, "connect_timeout must be a duration"),
        (CLUSTER, {"connect_timeout": "1 s"}, '"1 s" is not a duration'),
        (CLUSTER, {"connect_timeout": "3000000h"}, "less than 292 years"),
        (CLUSTER, {"health_checks": {}}, "health_checks must be a list"),
        (CLUSTER, {"lb_policy": "BEST"}, "is none of ROUND_ROBIN"),
        (CLUSTER, {"respect_dns_ttl": "true"}, "must be true or false"),
        (CLUSTER, {"max_requests_per_connection": 1.5}, "must be a whole number"),
        (CLUSTER, {"max_requests_per_connection": -1}, "between 0 and 4294967295"),
        (CLUSTER, {"max_requests_per_connection": "01"}, "must be a whole number"),
        (CLUSTER, {"metadata": {"filter_metadata": {"a": 1}}}, "filter_metadata.a must be"),
        (HTTP_FILTER, {"typed_config": {}}, "needs an @type"),
        (HTTP_FILTER, {"typed_config": {"@type": URL + "a.B"}}, "no type that zones know"),
        (HTTP_FILTER, {"typed_config": {"@type": URL + CLUSTER, "name": 1}}, "name must be text"),
        (
            HTTP_FILTER,
            {"typed_config": {"@type": URL + "envoy.extensions.filters.http.a2a.v3.A2a"}},
            "no type that zones know",
        ),
    ],
)
def test_what_is_not_of_the_type_is_refused_even_in_a_part(
    type_name: str, data: object, text: str
) -> None:
    assert text in str(judged(type_name, data, whole=False).fault)


@pytest.mark.parametrize(
    ("type_name", "data", "text"),
    [
        (CLUSTER, {}, "name must not be empty"),
        (CLUSTER, {"name": "a", "connect_timeout": "0s"}, "connect_timeout must be greater than 0"),
        (CLUSTER, {"name": "a", "lb_policy": 99}, "lb_policy is 99"),
        (CLUSTER, {"name": "a", "outlier_detection": {"max_ejection_percent": 101}}, "at most 100"),
        (CLUSTER, {"name": "a", "health_checks": [None]}, "health_checks[0] needs one of"),
        (HOST, {"name": "a"}, "domains must not be empty"),
        (HOST, host(routes=[{"match": {"prefix": "/"}}]), "routes[0] needs one of route"),
        (HOST, host(routes=[{"redirect": {}}]), "routes[0].match is missing"),
        (HOST, host(request_headers_to_remove=["a\nb"]), "must not have line breaks"),
        (
            HOST,
            host(response_headers_to_add=[{"header": {"key": "a", "value": "b" * 16385}}]),
            "value must be at most 16384 bytes",
        ),
        (HTTP_FILTER, {"name": "a", "config_discovery": {"type_urls": ["a"]}}, "config_source is"),
    ],
)
def test_what_breaks_a_rule_is_refused_only_as_a_whole(
    type_name: str, data: object, text: str
) -> None:
    assert text in str(judged(type_name, data, whole=True).fault)
    assert judged(type_name, data, whole=False).fault is None


def test_what_stands_in_an_any_is_read_and_not_asked() -> None:
    """As for a zone: only who unpacks it asks."""
    data = {"name": "a", "typed_config": {"@type": URL + CLUSTER, "connect_timeout": "0s"}}
    assert judged(HTTP_FILTER, data, whole=True).fault is None


def test_a_resource_that_names_its_type_is_asked_by_its_rules() -> None:
    assert judged_any({"@type": URL + CLUSTER, "name": "a"}).fault is None
    assert judged_any({"@type": URL + CLUSTER}).fault == "name must not be empty"
    assert "must be an object with an @type" in str(judged_any(None).fault)


def test_fields_that_no_message_has_are_told_also_in_an_any() -> None:
    data = {
        "name": "a",
        "conect_timeout": "5s",
        "health_checks": [{"timeout": "1s", "x": 1}],
        "metadata": {"filter_metadata": {"a": {"free": 1}}},
        "transport_socket": {"name": "a", "typed_config": {"@type": URL + CLUSTER, "nme": "b"}},
    }
    assert judged(CLUSTER, data, whole=False).unknown == (
        "conect_timeout",
        "health_checks[0].x",
        "transport_socket.typed_config.nme",
    )


def test_every_rule_is_of_a_field_that_the_library_knows() -> None:
    """A slip in the table would be a rule that never asks."""
    from xds.native_json import message_fields

    for name, rules in native_rules().items():
        kind = message_type(name)
        assert kind is not None, name
        fields = message_fields(kind)
        known = {field.name for field in fields} | {field.group for field in fields}
        assert rules.keys() <= known, name
