"""Laws of the discovery envelopes: what is joined of framed entries is what protobuf says of the
whole message. The judge is envoy-data-plane, which has Envoy's own definitions of all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import ControlPlane
from envoy_data_plane.envoy.service.discovery.v3 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
    Resource,
)
from envoy_data_plane.google.protobuf import Any as PackedAny
from envoy_data_plane.google.rpc import Status
from hypothesis import given
from hypothesis import strategies as st

from xds.discovery import DeltaRequest, DeltaResponse
from xds.resource import CLUSTER, LISTENER
from xds.wire import (
    delta_response_bytes,
    parse_delta_request,
    parse_sotw_request,
    resource,
    sotw_response_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

text = st.text(max_size=20)
names = st.lists(text, max_size=4)
# A body over 127 bytes has a length of two bytes.
body = st.binary(max_size=50) | st.binary(min_size=120, max_size=300)
part = st.tuples(text, body)
kind = st.sampled_from((CLUSTER, LISTENER, ""))


@given(kind, st.lists(part, max_size=5), names, text, text)
def test_a_joined_response_is_the_whole_message(
    type_url: str, parts: list[tuple[str, bytes]], removed: list[str], nonce: str, plane: str
) -> None:
    entries = tuple(resource(type_url, name, value) for name, value in parts)
    joined = delta_response_bytes(DeltaResponse(type_url, nonce, entries, tuple(removed), plane))
    whole = DeltaDiscoveryResponse(
        type_url=type_url,
        nonce=nonce,
        resources=[
            Resource(
                name=entry.name,
                version=entry.version,
                resource=PackedAny(type_url=type_url, value=value),
            )
            for entry, (_, value) in zip(entries, parts, strict=True)
        ],
        removed_resources=removed,
        control_plane=ControlPlane(identifier=plane) if plane else None,
    )
    assert DeltaDiscoveryResponse().parse(joined) == whole
    assert len(joined) == len(bytes(whole))


@given(kind, st.lists(part, max_size=5), text, text, text)
def test_a_joined_state_of_the_world_is_the_whole_message(
    type_url: str, parts: list[tuple[str, bytes]], version: str, nonce: str, plane: str
) -> None:
    entries = tuple(resource(type_url, name, value) for name, value in parts)
    response = DeltaResponse(type_url, nonce, entries, version=version, control_plane=plane)
    whole = DiscoveryResponse(
        type_url=type_url,
        nonce=nonce,
        version_info=version,
        resources=[PackedAny(type_url=type_url, value=value) for _, value in parts],
        control_plane=ControlPlane(identifier=plane) if plane else None,
    )
    joined = sotw_response_bytes(response)
    assert DiscoveryResponse().parse(joined) == whole
    assert len(joined) == len(bytes(whole))


@given(kind, names, names, st.dictionaries(text, text, max_size=3), text, st.none() | text)
def test_a_delta_request_is_read_as_it_was_meant(
    type_url: str,
    subscribe: list[str],
    unsubscribe: list[str],
    held: Mapping[str, str],
    nonce: str,
    error: str | None,
) -> None:
    sent = DeltaDiscoveryRequest(
        type_url=type_url,
        resource_names_subscribe=subscribe,
        resource_names_unsubscribe=unsubscribe,
        initial_resource_versions=dict(held),
        response_nonce=nonce,
        error_detail=Status(code=13, message=error) if error is not None else None,
    )
    assert parse_delta_request(bytes(sent)) == DeltaRequest(
        type_url,
        subscribe=tuple(subscribe),
        unsubscribe=tuple(unsubscribe),
        initial_versions=held,
        nonce=nonce,
        error=error,
    )


@given(kind, names, text, text, st.none() | text)
def test_a_state_of_the_world_request_is_read_as_it_was_meant(
    type_url: str, wanted: list[str], version: str, nonce: str, error: str | None
) -> None:
    sent = DiscoveryRequest(
        type_url=type_url,
        resource_names=wanted,
        version_info=version,
        response_nonce=nonce,
        error_detail=Status(code=13, message=error) if error is not None else None,
    )
    assert parse_sotw_request(bytes(sent)) == DeltaRequest(
        type_url, wanted=tuple(wanted), version=version, nonce=nonce, error=error
    )
