"""Bytes against the numbers of the .proto files, read by an independent reader."""

from __future__ import annotations

import datetime
import hashlib
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from envoy_data_plane.envoy.config.bootstrap.v3 import Bootstrap
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    Http2ProtocolOptions,
    RuntimeFractionalPercent,
    SocketAddress,
)
from envoy_data_plane.envoy.config.route.v3 import RouteAction, RouteConfiguration
from envoy_data_plane.google.protobuf import Duration, ListValue, NullValue, Struct, Value
from google.protobuf import descriptor_pool

from tests.support.protobuf_wire import fields, message, text
from xds.discovery import DeltaRequest, DeltaResponse, Node, RemoteProtocolError
from xds.resource import CLUSTER, digest
from xds.wire import (
    any_of,
    delta_request_bytes,
    delta_response_bytes,
    encode,
    entry_body,
    framer,
    number_framer,
    parse_delta_request,
    parse_delta_response,
    resource,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import betterproto2

ROOT = Path(__file__).parents[3]


def block(number: int, value: bytes) -> bytes:
    """A length-delimited field by hand; short values only."""
    assert number < 16
    assert len(value) < 128
    return bytes((number << 3 | 2, len(value))) + value


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
    packed = any_of(Cluster(name="x"))
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


# --- entries ---


def test_an_entry_is_framed_with_the_numbers_of_the_protocol() -> None:
    made = resource("type/x", "name", b"body")
    version = digest((b"body",))
    packed = block(1, b"type/x") + block(2, b"body")
    assert made.version == version
    assert made.entry == block(1, version.encode()) + block(2, packed) + block(3, b"name")
    assert entry_body(made.entry) == ("type/x", b"body")


def test_the_version_is_the_sha256_of_the_framed_body() -> None:
    framed = (4).to_bytes(8, "big") + b"body"
    assert resource("t", "n", b"body").version == hashlib.sha256(framed).hexdigest()


# --- envelopes ---


def test_a_request_has_the_numbers_of_the_protocol() -> None:
    data = delta_request_bytes(
        DeltaRequest(
            type_url="t",
            node=Node("id", "cluster", {"version": {"minor": 2.0}}),
            subscribe=("a", "b"),
            unsubscribe=("c",),
            initial_versions={"n": "1"},
            nonce="7",
            error="bad",
        )
    )
    found = fields(data)
    node = message(found, 1)
    assert (text(node, 1), text(node, 2)) == ("id", "cluster")
    assert text(message(message(node, 3), 1), 1) == "version"
    assert text(found, 2) == "t"
    assert found[3] == [b"a", b"b"]
    assert found[4] == [b"c"]
    assert found[5] == [block(1, b"n") + block(2, b"1")]
    assert text(found, 6) == "7"
    assert text(message(found, 7), 2) == "bad"


@pytest.mark.parametrize("error", [None, "", "bad"])
def test_an_error_is_there_or_not_whatever_it_says(error: str | None) -> None:
    sent = DeltaRequest(type_url="t", nonce="1", error=error)
    assert parse_delta_request(delta_request_bytes(sent)).error == error
    assert (7 in fields(delta_request_bytes(sent))) == (error is not None)


def test_the_error_of_a_real_envoy_is_read_with_its_code() -> None:
    detail = b"\x08\x0d" + block(2, b"bad")  # INTERNAL
    assert parse_delta_request(block(2, b"t") + block(7, detail)).error == "bad"


def test_a_response_joins_entries_untouched() -> None:
    first, second = resource("t", "a", b"1"), resource("t", "b", b"2")
    data = delta_response_bytes(
        DeltaResponse("t", "9", (first, second), removed=("c",), control_plane="cp")
    )
    found = fields(data)
    assert found[2] == [first.entry, second.entry]
    assert (text(found, 4), text(found, 5)) == ("t", "9")
    assert found[6] == [b"c"]
    assert text(message(found, 7), 1) == "cp"


def test_a_received_version_is_the_senders_and_the_entry_stays_whole() -> None:
    """Kuma's versions are no digests of ours, and its entries have fields we do not read."""
    entry = block(1, b"v7") + block(2, block(1, b"t") + block(2, b"x")) + block(3, b"n")
    entry += block(4, b"alias")
    (received,) = parse_delta_response(block(2, entry) + block(4, b"t")).resources
    assert (received.name, received.version) == ("n", "v7")
    assert received.entry == entry
    assert entry_body(received.entry) == ("t", b"x")


# --- what a peer must not send ---

NAN = b"\x11" + b"\0" * 6 + b"\xf8\x7f"  # google.protobuf.Value.number_value
NAN_METADATA = block(1, block(3, block(1, block(1, b"k") + block(2, NAN))))


@pytest.mark.parametrize(
    ("parse", "data", "name"),
    [
        (parse_delta_request, b"\x0a\x05", "DeltaDiscoveryRequest"),
        (parse_delta_request, block(2, b"\xff"), "DeltaDiscoveryRequest"),  # no UTF-8
        (parse_delta_response, b"\xff", "DeltaDiscoveryResponse"),
        (parse_delta_response, block(2, b"\x0a\x05"), "Resource"),
        (entry_body, b"\x0a", "Resource"),
    ],
)
def test_malformed_bytes_are_the_peers_fault(
    parse: Callable[[bytes], object], data: bytes, name: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=f"are no {name}: "):
        parse(data)


def test_metadata_that_json_cannot_hold_is_the_peers_fault() -> None:
    with pytest.raises(RemoteProtocolError, match="metadata cannot be read"):
        parse_delta_request(NAN_METADATA)


def test_bottomless_metadata_is_the_peers_fault() -> None:
    value = b""
    for _ in range(500):
        inner = b"\x0a" + _length(value) + value
        value = b"\x32" + _length(inner) + inner
    entry = b"\x0a\x01k\x12" + _length(value) + value
    struct = b"\x0a" + _length(entry) + entry
    node = b"\x1a" + _length(struct) + struct
    with pytest.raises(RemoteProtocolError):
        parse_delta_request(b"\x0a" + _length(node) + node)


def _length(value: bytes) -> bytes:
    size, out = len(value), bytearray()
    while size > 127:
        out.append(size & 127 | 128)
        size >>= 7
    return bytes((*out, size))


# --- the generated code ---


def test_generated_code_is_that_of_the_proto_file(tmp_path: Path) -> None:
    """`make protos` was run after the last change."""
    command = [sys.executable, "-m", "grpc_tools.protoc", "-Ischemas/proto"]
    command += [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "discovery.proto"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)
    for made in sorted(tmp_path.iterdir()):
        assert (ROOT / "xds/proto" / made.name).read_text() == made.read_text(), made.name


def test_our_messages_clash_with_nobodys() -> None:
    """Other packages of one process may bring Envoy's own definitions into the same pool."""
    pool = descriptor_pool.Default()
    ours = "reconciler.wire.discovery.DeltaDiscoveryRequest"
    assert pool.FindMessageTypeByName(ours).full_name == ours
    source = (ROOT / "schemas/proto/discovery.proto").read_text()
    assert re.findall(r"^package (.*);$", source, re.MULTILINE) == ["reconciler.wire.discovery"]
    with pytest.raises(KeyError):
        pool.FindMessageTypeByName("envoy.service.discovery.v3.DeltaDiscoveryRequest")
