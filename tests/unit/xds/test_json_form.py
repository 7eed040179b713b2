"""The JSON form read from bytes is the library's own."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType, OutlierDetection
from envoy_data_plane.envoy.config.core.v3 import HealthCheck, Metadata, RuntimeDouble
from envoy_data_plane.envoy.type.v3 import (
    FractionalPercent,
    FractionalPercentDenominatorType,
    Int64Range,
)
from envoy_data_plane.google.protobuf import Any as AnyMessage
from envoy_data_plane.google.protobuf import Struct, Value

from tests.support.xds_inputs import EVERY_CLUSTER, EVERY_ENDPOINTS, EVERY_LISTENER
from xds.build.clusters import build_cluster
from xds.build.endpoints import build_endpoints
from xds.build.listeners import build_listener
from xds.json_form import json_form
from xds.readable import _TYPES
from xds.wire import entry_body

if TYPE_CHECKING:
    from xds.resource import XdsResource

SPAN = datetime.timedelta(seconds=3, milliseconds=250)
MESSAGES = (
    Cluster(),
    Cluster(
        name="ä",
        type=ClusterDiscoveryType.EDS,
        connect_timeout=SPAN,
        per_connection_buffer_limit_bytes=0,
        outlier_detection=OutlierDetection(consecutive_gateway_failure=3),
        health_checks=[HealthCheck(timeout=SPAN), HealthCheck()],
        typed_extension_protocol_options={"b": AnyMessage.pack(Int64Range(start=-5, end=2**40))},
        metadata=Metadata(
            filter_metadata={
                "a": Struct(fields={"x": Value(string_value="y"), "n": Value(number_value=1.5)})
            }
        ),
    ),
    FractionalPercent(numerator=3, denominator=FractionalPercentDenominatorType.MILLION),
    Int64Range(start=-(2**63), end=2**63 - 1),
    RuntimeDouble(default_value=float("inf"), runtime_key="k"),
    RuntimeDouble(default_value=0.25),
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_form_is_the_one_the_library_writes(message: Any) -> None:
    found = json_form(type(message), bytes(message))
    assert found == message.to_dict()
    assert list(found) == list(message.to_dict())


BUILT = (
    *map(build_cluster, EVERY_CLUSTER),
    *map(build_endpoints, EVERY_ENDPOINTS),
    *map(build_listener, EVERY_LISTENER),
)


@pytest.mark.parametrize("resource", BUILT, ids=lambda r: r.name)
def test_form_of_every_resource_we_build_is_the_librarys(resource: XdsResource) -> None:
    url, body = entry_body(resource.entry)
    assert json_form(_TYPES[url], body) == _TYPES[url].parse(body).to_dict()
