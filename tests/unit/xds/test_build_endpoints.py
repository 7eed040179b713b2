"""Load assignments: grouping, order, metadata; the short way of encoding equals the long one."""

from __future__ import annotations

from typing import Any, cast

from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from hypothesis import given
from hypothesis import strategies as st

from tests.support import xds_inputs as inputs
from xds.build.endpoints import build_endpoints
from xds.message import encode
from xds.readable import readable
from xds.view import Endpoint, Endpoints
from xds.wire import entry_body

TAGS = (("version", "v1"),)


def groups(*endpoints: Endpoint) -> list[dict[str, Any]]:
    found = readable(build_endpoints(Endpoints("backend", endpoints)))
    assert found["clusterName"] == "backend"
    return cast("list[dict[str, Any]]", found.get("endpoints", []))


def addresses(group: dict[str, Any]) -> list[tuple[str, int]]:
    sockets = [e["endpoint"]["address"]["socketAddress"] for e in group["lbEndpoints"]]
    return [(socket["address"], socket["portValue"]) for socket in sockets]


def test_an_endpoint_has_the_shape_of_the_sheet() -> None:
    (group,) = groups(Endpoint("10.0.0.8", 18080, 3, inputs.TAGS, "east"))
    tags = dict(inputs.TAGS)
    assert group == {
        "locality": {"zone": "east"},
        "lbEndpoints": [
            {
                "endpoint": {
                    "address": {"socketAddress": {"address": "10.0.0.8", "portValue": 18080}}
                },
                "loadBalancingWeight": 3,
                "metadata": {
                    "filterMetadata": {"envoy.lb": tags, "envoy.transport_socket_match": tags}
                },
            }
        ],
    }


def test_endpoints_are_grouped_by_zone_and_priority() -> None:
    found = groups(
        Endpoint("10.0.0.3", 1, 1, TAGS, "west", 1),
        Endpoint("10.0.0.2", 1, 1, TAGS, "east"),
        Endpoint("10.0.0.1", 1, 1, TAGS, "east"),
        Endpoint("10.0.0.4", 1, 1, TAGS),
    )
    assert [(g.get("locality"), g.get("priority", 0)) for g in found] == [
        (None, 0),
        ({"zone": "east"}, 0),
        ({"zone": "west"}, 1),
    ]
    assert addresses(found[1]) == [("10.0.0.1", 1), ("10.0.0.2", 1)]


def test_a_subzone_is_a_locality_of_its_own_with_the_weight_it_is_given() -> None:
    endpoints = (
        Endpoint("10.0.0.1", 1, 1, TAGS, "east"),
        Endpoint("10.0.0.2", 1, 1, TAGS, "east", subzone="az=a"),
        Endpoint("10.0.0.3", 1, 1, TAGS, "west", 1),
        Endpoint("10.0.0.4", 1, 1, TAGS, subzone="priority-2", priority=2),
    )
    weights = ((("east", ""), 1), (("east", "az=a"), 90), (("gone", ""), 5))
    found: dict[str, Any] = readable(build_endpoints(Endpoints("backend", endpoints, weights)))
    seen = [
        (g["locality"], g.get("loadBalancingWeight"), g.get("priority", 0), addresses(g))
        for g in found["endpoints"]
    ]
    assert seen == [
        ({"subZone": "priority-2"}, None, 2, [("10.0.0.4", 1)]),
        ({"zone": "east"}, 1, 0, [("10.0.0.1", 1)]),
        ({"zone": "east", "subZone": "az=a"}, 90, 0, [("10.0.0.2", 1)]),
        ({"zone": "west"}, None, 1, [("10.0.0.3", 1)]),
    ]
    assert "policy" not in found


def test_overprovisioning_is_the_assignments_policy() -> None:
    found = readable(build_endpoints(Endpoints("backend", (), overprovisioning=143)))
    assert found == {"clusterName": "backend", "policy": {"overprovisioningFactor": 143}}


def test_without_tags_there_is_no_metadata() -> None:
    (group,) = groups(Endpoint("10.0.0.1", 1, 1, ()))
    assert "metadata" not in group["lbEndpoints"][0]


def test_no_endpoints_is_an_empty_assignment() -> None:
    assert groups() == []


endpoint = st.builds(
    Endpoint,
    address=st.ip_addresses().map(str),
    port=st.integers(1, 65535),
    weight=st.integers(1, 2**32 - 1),
    tags=st.dictionaries(st.text(max_size=4), st.text(max_size=200), max_size=3).map(
        lambda tags: tuple(sorted(tags.items()))
    ),
    zone=st.none() | st.sampled_from(["east", "west", "ü"]),
    priority=st.integers(0, 3),
    subzone=st.sampled_from(["", "az=a"]),
)
weights = st.dictionaries(
    st.tuples(st.none() | st.sampled_from(["east", "west"]), st.sampled_from(["", "az=a"])),
    st.integers(1, 2**32 - 1),
).map(lambda found: tuple(sorted(found.items(), key=repr)))


@given(st.lists(endpoint, max_size=6), st.randoms())
def test_the_order_of_the_input_never_shows(endpoints: list[Endpoint], random: Any) -> None:
    shuffled = list(endpoints)
    random.shuffle(shuffled)
    first, second = (
        build_endpoints(Endpoints("b", tuple(found))) for found in (endpoints, shuffled)
    )
    assert first == second


@given(st.lists(endpoint, max_size=6))
def test_every_endpoint_arrives_as_it_was_given(endpoints: list[Endpoint]) -> None:
    found = [
        Endpoint(
            *socket,
            each["loadBalancingWeight"],
            tuple(sorted(_tags(each).items())),
            group.get("locality", {}).get("zone"),
            group.get("priority", 0),
            group.get("locality", {}).get("subZone", ""),
        )
        for group in groups(*endpoints)
        for socket, each in zip(addresses(group), group["lbEndpoints"], strict=True)
    ]
    assert sorted(found, key=repr) == sorted(endpoints, key=repr)


def _tags(found: dict[str, Any]) -> dict[str, str]:
    metadata = found.get("metadata", {}).get("filterMetadata", {})
    assert metadata.get("envoy.lb") == metadata.get("envoy.transport_socket_match")
    return cast("dict[str, str]", metadata.get("envoy.lb", {}))


@given(st.lists(endpoint, max_size=6), weights, st.none() | st.integers(1, 1_000))
def test_joined_fragments_are_the_bytes_of_the_whole_message(
    endpoints: list[Endpoint], weights: Any, factor: int | None
) -> None:
    _, body = entry_body(build_endpoints(Endpoints("b", tuple(endpoints), weights, factor)).entry)
    assert encode(ClusterLoadAssignment().parse(body)) == body
