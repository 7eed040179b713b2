"""Bytes against the numbers of the .proto files, read by an independent reader."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.json_format import MessageToDict, ParseDict

from tests.support.protobuf_wire import fields, message, text
from xds import wire
from xds.discovery import DeltaRequest, DeltaResponse, Node, RemoteProtocolError
from xds.resource import digest
from xds.wire import (
    delta_request_bytes,
    delta_response_bytes,
    entry_body,
    parse_delta_request,
    parse_delta_response,
    resource,
)

if TYPE_CHECKING:
    from collections.abc import Callable


ROOT = Path(__file__).parents[3]


def block(number: int, value: bytes) -> bytes:
    """A length-delimited field by hand; short values only."""
    assert number < 16
    assert len(value) < 128
    return bytes((number << 3 | 2, len(value))) + value


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


def test_a_node_that_comes_with_every_request_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = Mock(side_effect=MessageToDict)
    monkeypatch.setattr(wire, "MessageToDict", read)
    node = Node("said-46-times", "", {"features": ["a", "b"]})
    for number in range(46):
        data = delta_request_bytes(DeltaRequest(f"T{number}", node=node))
        assert parse_delta_request(data).node == node
    assert read.call_count == 1
    other = replace(node, metadata={"features": ["a"]})
    found = parse_delta_request(delta_request_bytes(DeltaRequest("T", node=other))).node
    assert found == other
    large = Node("large", "", {"config": "x" * wire.NODE_KEPT_MAX})
    for _ in range(2):
        assert parse_delta_request(delta_request_bytes(DeltaRequest("T", node=large))).node == large
    assert read.call_count == 4, "what is large is not kept"


def test_a_node_that_goes_with_every_request_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Mock(side_effect=ParseDict)
    monkeypatch.setattr(wire, "ParseDict", made)
    for number in range(8):
        node = Node("asks-for-8-types", "c", {"features": ["a", "b"], "n": {"k": 1.0}})
        found = parse_delta_request(delta_request_bytes(DeltaRequest(f"T{number}", node=node)))
        assert found.node == node
    assert made.call_count == 1
    other = Node("asks-for-8-types", "c", {"features": ["a", "c"]})
    data = delta_request_bytes(DeltaRequest("T", node=other))
    assert parse_delta_request(data).node == other
