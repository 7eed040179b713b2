"""ExternalService: a service outside of the mesh."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reconciler.addresses import is_dns_name, is_ip
from reconciler.checks.selectors import PROTOCOL, SERVICE, service_of_own
from reconciler.part import PORT_MAX, Part, not_empty, required, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

PROTOCOLS = ("http", "http2", "tcp", "tls", "grpc", "kafka", "mysql")
_PORT = re.compile(r"[0-9]+")
_BRACKETED = re.compile(r"\[([^\[\]]*)\]:([^:\[\]]*)")
_PLAIN = re.compile(r"([^:\[\]]*):([^:\[\]]*)")


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    networking, tags = document["networking"], document["tags"]
    yield from required(networking, "write the address to it")
    if networking:
        yield from _networking(networking)
    yield from service_of_own(tags)
    for name, value in tags.entries():
        if name == PROTOCOL and value.text.lower() not in PROTOCOLS:
            yield from word(value, PROTOCOLS)
        if name == SERVICE and value.text and value.text == _split(networking)[0]:
            text = "the service has the name of its address; write a name of the mesh's own"
            yield value.fault("VAL009", text)


def _networking(networking: Part) -> Faults:
    yield from not_empty(networking["address"], "write host and port, such as example.com:443")
    if networking["address"].text:
        yield from _address(networking)
    tls = networking["tls"]
    if tls["serverName"]:
        yield from not_empty(tls["serverName"], "write the name to ask for")
    for name in ("caCert", "clientCert", "clientKey"):
        yield from _source(tls[name])


def _address(networking: Part) -> Faults:
    address = networking["address"]
    host, number = _split(networking)
    if host is None:
        text = f'"{address.text[:60]}" is not host and port; write it like example.com:443'
    elif not (is_ip(host) or is_dns_name(host)):
        text = f'"{host[:60]}" is no host; write a name or an IP address'
    elif not (_PORT.fullmatch(number) and len(number) <= 40 and 0 < int(number) <= PORT_MAX):
        text = f'"{number[:60]}" is no port; write one between 1 and {PORT_MAX}'
    else:
        return
    yield address.fault("VAL010", text)


def _split(networking: Part) -> tuple[str | None, str]:
    """Host and port, as Go splits them."""
    address = networking["address"].text
    found = _BRACKETED.fullmatch(address) or _PLAIN.fullmatch(address)
    return (found[1], found[2]) if found else (None, "")


def _source(source: Part) -> Faults:
    kinds = ("secret", "file", "inline", "inlineString")
    if source and not any(source[kind].text for kind in kinds):
        yield source.fault(
            "VAL008", f"{source.name} names nothing; write one of {', '.join(kinds)}"
        )
