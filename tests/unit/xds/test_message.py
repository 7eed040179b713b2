"""How messages are made, joined and encoded: bytes against the numbers of the .proto files."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    Http2ProtocolOptions,
    RuntimeFractionalPercent,
    SocketAddress,
    SocketAddressProtocol,
)
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import RouteAction, RouteConfiguration
from envoy_data_plane.google.protobuf import Any, Duration, ListValue, NullValue, Struct, Value

from tests.support.protobuf_wire import fields, message, text
from xds.message import any_of, encode, form, framer, new, number_framer, part
from xds.resource import CLUSTER

if TYPE_CHECKING:
    import betterproto2


# --- new ---


def test_what_is_made_is_what_the_library_makes() -> None:
    made = new(Cluster, name="x", connect_timeout=datetime.timedelta(seconds=1))
    assert made == Cluster(name="x", connect_timeout=datetime.timedelta(seconds=1))
    assert type(made) is Cluster


def test_two_messages_share_no_list_and_no_map() -> None:
    first, second = new(Cluster), new(Cluster)
    first.health_checks.append(None)  # type: ignore[arg-type]
    first.typed_extension_protocol_options["x"] = new(Any)
    assert second.health_checks == []
    assert second.typed_extension_protocol_options == {}
    assert new(Cluster).health_checks == []


def test_fields_are_given_by_name() -> None:
    with pytest.raises(AssertionError, match="by name"):
        new(SocketAddress, SocketAddressProtocol.TCP)


# --- parts ---


def test_a_part_stands_where_a_message_may() -> None:
    address = new(Address, socket_address=new(SocketAddress, address="a", port_value=1))
    whole = encode(new(Listener, name="x", address=address, additional_addresses=[]))
    assert encode(new(Listener, name="x", address=part(address))) == whole
    struct = new(Struct, fields={"a": part(new(Value, string_value="b"))})
    assert encode(struct) == encode(new(Struct, fields={"a": new(Value, string_value="b")}))
    assert encode(part(address)) == encode(address)


def test_a_part_can_be_neither_read_nor_changed() -> None:
    """Who changed a part that others use, or lost a change, would never know."""
    shared = part(new(SocketAddress, address="a"))
    with pytest.raises(AttributeError):
        shared.address = "b"
    with pytest.raises(AttributeError):
        _ = shared.address


# --- forms ---


def test_a_form_is_filled_for_each_of_many() -> None:
    shared = form(new(Listener, bind_to_port=False, stat_prefix="x"), "name", "address")
    address = new(Address, socket_address=new(SocketAddress, address="a", port_value=1))
    whole = new(Listener, name="n", address=address, bind_to_port=False, stat_prefix="x")
    name_field, address_field = framer(Listener, "name"), framer(Listener, "address")
    assert shared.filled(name_field(b"n"), address_field(encode(address))) == encode(whole)
    with pytest.raises(ValueError, match=r"zip\(\)"):
        shared.filled(name_field(b"n"))


def test_a_hole_has_no_value_of_its_own() -> None:
    with pytest.raises(AssertionError, match=r"Listener\.name is filled for each message"):
        form(new(Listener, name="x"), "name")


# --- encode ---


@pytest.mark.parametrize(
    ("made", "data"),
    [
        (SocketAddress(address="a", port_value=300), "12 01 61 18 ac 02"),
        (Cluster(name="x"), "0a 01 78"),
        # Presence: an empty message, a zero wrapper and a zero in a oneof are all said.
        (Address(socket_address=SocketAddress()), "0a 00"),
        (RouteAction(timeout=datetime.timedelta(0)), "42 00"),
        (RouteConfiguration(validate_clusters=False), "3a 00"),
        (Cluster(type=ClusterDiscoveryType.STATIC), "10 00"),
        (Value(null_value=NullValue(0)), "08 00"),
        (Value(bool_value=False), "20 00"),
        (Value(number_value=0.0), "11 00 00 00 00 00 00 00 00"),
        (Value(string_value=""), "1a 00"),
        # Repeated: strings one by one, even empty ones.
        (RouteConfiguration(internal_only_headers=["", "b"]), "1a 00 1a 01 62"),
        (Http2ProtocolOptions(max_concurrent_streams=0), "12 00"),
        (Http2ProtocolOptions(max_concurrent_streams=5), "12 02 08 05"),
        (RuntimeFractionalPercent(), ""),
    ],
)
def test_fields_are_written_as_the_schema_says(made: betterproto2.Message, data: str) -> None:
    assert encode(made) == bytes.fromhex(data)


@pytest.mark.parametrize(
    ("span", "inner"),
    [
        (datetime.timedelta(seconds=1.5), Duration(seconds=1, nanos=500_000_000)),
        (datetime.timedelta(seconds=-1.5), Duration(seconds=-1, nanos=-500_000_000)),
        (datetime.timedelta(microseconds=-1), Duration(nanos=-1000)),
        (datetime.timedelta(days=-1, microseconds=1), Duration(seconds=-86399, nanos=-999_999_000)),
    ],
)
def test_seconds_and_nanos_of_a_duration_have_one_sign(
    span: datetime.timedelta, inner: Duration
) -> None:
    """By google.protobuf.Duration; the library's encoder garbles the last of these."""
    data = bytes(inner)
    assert encode(RouteAction(timeout=span)) == b"\x42" + bytes((len(data),)) + data


def test_maps_are_written_in_the_order_of_their_keys() -> None:
    def struct(*keys: str) -> Struct:
        return Struct(fields={key: Value(string_value=key) for key in keys})

    data = encode(struct("b", "a", "c"))
    assert data == encode(struct("c", "b", "a"))
    assert [text(message(fields(data), 1, i), 1) for i in range(3)] == ["a", "b", "c"]


def test_fields_are_written_in_the_order_of_their_numbers() -> None:
    made = Cluster(
        transport_socket_matches=[], alt_stat_name="b", name="a", type=ClusterDiscoveryType.EDS
    )
    assert list(fields(encode(made))) == [1, 2, 28]


def test_what_the_library_does_not_know_is_kept() -> None:
    unknown = b"\xfa\x7d\x01\x41"  # field 2015, one byte
    read = Cluster().parse(b"\x0a\x01x" + unknown)
    assert encode(read) == b"\x0a\x01x" + unknown


def test_lists_and_nested_structs() -> None:
    values = ListValue(values=[Value(number_value=1.0), Value(bool_value=True)])
    made = Struct(fields={"list": Value(list_value=values)})
    assert Struct().parse(encode(made)) == made


def test_any_carries_the_full_name() -> None:
    packed = Any().parse(encode(any_of(Cluster(name="x"))))
    assert packed.type_url == CLUSTER
    assert packed.value == b"\x0a\x01x"
    assert packed.unpack() == Cluster(name="x")


def test_framed_parts_are_the_encoded_message() -> None:
    name, address = framer(Cluster, "name"), framer(SocketAddress, "address")
    port = number_framer(SocketAddress, "port_value")
    long = "x" * 300
    assert name(long.encode()) == encode(Cluster(name=long))
    assert address(b"a") + port(70) == encode(SocketAddress(address="a", port_value=70))
    assert port(0) == encode(SocketAddress(port_value=0))  # in a oneof: said even if zero


@pytest.mark.parametrize("name", ["port_value", "ipv4_compat"])
def test_only_what_has_a_length_can_be_framed(name: str) -> None:
    with pytest.raises(AssertionError, match="no length"):
        framer(SocketAddress, name)
    with pytest.raises(AssertionError, match="no integer"):
        number_framer(SocketAddress, "address")


def test_a_deep_message_is_encoded() -> None:
    made = Value(string_value="x")
    for _ in range(50):
        made = Value(list_value=ListValue(values=[made]))
    assert Value().parse(encode(made)) == made


def test_deprecated_and_rare_types_have_a_plan() -> None:
    """The bootstrap reaches most of Envoy's configuration types."""
    assert encode(Bootstrap()) == b""


@pytest.mark.parametrize(
    "made",
    [
        new(SocketAddress, port_value=-1),
        new(SocketAddress, port_value=1 << 32),
        new(Http2ProtocolOptions, max_concurrent_streams=-1),
        new(Cluster, name="\ud800"),
    ],
)
def test_what_a_field_cannot_hold_is_refused(made: betterproto2.Message) -> None:
    with pytest.raises(ValueError, match=r"is not between|surrogates not allowed"):
        encode(made)
