"""Health checks of applications behind a proxy, as kuma-dp's application probe proxy takes them.

Somebody outside of the mesh asks `/<port>/<path>`, `/tcp/<port>` or `/grpc/<port>` on a port of its
own, and is told how the application on that port answers. This module reads what is asked and words
the answer; `probe_calls` calls, `probe_proxy` serves. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Headers = Sequence[tuple[str, str]]  # names in lower case

TIMEOUT_S = 1
TIMEOUT_MAX_S = 300  # Kuma has no bound; 0 is none at all there
PORT_MAX = 65535
OWN = "x-kuma-probes-"  # of headers that are for the probe proxy itself
AGENT = "kuma-probe/2.14.3"
SERVING = 1  # grpc.health.v1.HealthCheckResponse.ServingStatus
# Of one connection (RFC 9110 7.6.1), and what goes with a body, which a probe has not.
_HOP = frozenset(
    (
        *("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    )
)
_WITHOUT_PATH = re.compile(r"/(tcp|grpc)/([0-9]+)(?:/.*)?", re.DOTALL)
_WITH_PATH = re.compile(r"/([0-9]+)(/.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpProbe:
    """Healthy when the port takes a connection."""

    port: int
    timeout_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcProbe:
    """Healthy when grpc.health.v1.Health/Check says that the service is serving."""

    port: int
    timeout_s: int
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """Healthy when a GET is answered with 200 to 399."""

    port: int
    timeout_s: int
    target: str  # path and query
    tls: bool
    headers: Headers  # with a host, if another one than address and port was asked for


Probe = TcpProbe | GrpcProbe | HttpProbe


@dataclass(frozen=True, slots=True)
class Verdict:
    """Status and word for who asked."""

    status: int
    word: str


HEALTHY = Verdict(200, "HEALTHY")
UNHEALTHY = Verdict(503, "UNHEALTHY")
UNKNOWN = Verdict(503, "UNKNOWN")  # nothing that could be asked


def probe_of(target: str, headers: Headers) -> Probe | None:
    """What a request asks for; None when it asks for nothing that there is."""
    path, question, query = target.partition("?")
    own = {name.removeprefix(OWN): value for name, value in headers if name.startswith(OWN)}
    timeout_s = _timeout_s(own.get("timeout", ""))
    if found := _WITHOUT_PATH.fullmatch(path):
        port = int(found[2])
        if not _is_port(found[2]):
            return None
        if found[1] == "tcp":
            return TcpProbe(port=port, timeout_s=timeout_s)
        return GrpcProbe(port=port, timeout_s=timeout_s, service=own.get("grpc-service", ""))
    found = _WITH_PATH.fullmatch(path)
    if found is None or not _is_port(found[1]):
        return None
    return HttpProbe(
        port=int(found[1]),
        timeout_s=timeout_s,
        target=(found[2] or "/") + question + query,
        tls=own.get("scheme") == "HTTPS",
        headers=tuple(_passed_on(headers, own.get("host"))),
    )


def http_verdict(status: int) -> Verdict:
    """A failure keeps its status: it says more to whose application it is."""
    return HEALTHY if 200 <= status < 400 else Verdict(status, UNHEALTHY.word)


def _is_port(digits: str) -> bool:
    return len(digits) <= 5 and int(digits) <= PORT_MAX


def _timeout_s(text: str) -> int:
    """Whole seconds; the default for anything else."""
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        return TIMEOUT_S
    return min(int(text), TIMEOUT_MAX_S) or TIMEOUT_S


def _passed_on(headers: Headers, host: str | None) -> Iterable[tuple[str, str]]:
    if host is not None:
        yield "host", host
    if "user-agent" not in dict(headers):
        yield "user-agent", AGENT
    for name, value in headers:
        if name not in _HOP and not name.startswith(OWN):
            yield name, value


# --- grpc.health.v1, which is small enough to be written here ---


def check_request(service: str) -> bytes:
    """HealthCheckRequest{service = 1} as a gRPC message."""
    name = service.encode()
    return _message(b"\x0a" + _varint(len(name)) + name if name else b"")


def is_serving(answer: bytes) -> bool:
    """Whether a gRPC message is a HealthCheckResponse{status = 1} with SERVING. Anything that is
    not exactly one whole message that can be read is not.
    """
    if len(answer) < 5 or answer[0] != 0 or int.from_bytes(answer[1:5], "big") != len(answer) - 5:
        return False
    status = 0
    try:
        for field, value in _fields(answer[5:]):
            if field == 1 and isinstance(value, int):
                status = value
    except (IndexError, ValueError):
        return False
    return status == SERVING


def _message(data: bytes) -> bytes:
    """Not compressed."""
    return b"\x00" + len(data).to_bytes(4, "big") + data


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _fields(data: bytes) -> Iterable[tuple[int, int | bytes]]:
    """Raises IndexError or ValueError for what is no message."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        kind = key & 7
        if kind == 0:
            number, at = _read_varint(data, at)
            yield key >> 3, number
            continue
        length, at = {1: (8, at), 5: (4, at)}.get(kind) or _read_length(kind, data, at)
        if at + length > len(data):
            raise ValueError("the message ends too early")
        yield key >> 3, data[at : at + length]
        at += length


def _read_length(kind: int, data: bytes, at: int) -> tuple[int, int]:
    if kind != 2:
        raise ValueError(f"wire type {kind}")
    return _read_varint(data, at)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return number, at
    raise ValueError("a number without an end")
