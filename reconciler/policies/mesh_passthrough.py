"""MeshPassthrough: which destinations outside of the mesh a proxy lets through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.addresses import is_cidr, is_dns_name, is_ip
from reconciler.part import Part, port
from reconciler.policies.document import check_sections
from reconciler.policies.policy import PolicyRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

HTTP_PROTOCOLS = ("grpc", "http", "http2")  # told apart by the request, so one of them a port


def check(spec: Mapping[str, object], at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    default = Part(spec, (), at)["default"]
    matches = list(default["appendMatch"].items())
    for match in matches:
        yield from port(match["port"])
        if _protocol(match) == "mysql" and not match["port"]:
            yield match["port"].fault("VAL001", "port is missing; mysql needs one")
        yield from _check_value(match)
    yield from _check_ports([match for match in matches if match["port"].number is not None])
    if default["passthroughMode"].value in ("All", "None") and matches:
        text = f"is not looked at in mode {default['passthroughMode'].text}; use Matched"
        yield default["appendMatch"].warning("VAL011", f"appendMatch {text}, or remove it")


def _check_ports(matches: list[Part]) -> Faults:
    """Between matches of one port."""
    protocols: dict[object, str] = {}
    seen: set[tuple[object, str, object]] = set()
    for match in matches:
        number, protocol, value = match["port"].value, _protocol(match), match["value"]
        other = protocols.get(number, protocol)
        if other != protocol and protocol in HTTP_PROTOCOLS:
            text = f"port {number} has {other} already; use the same protocol, or another port"
            yield match["port"].fault("VAL009", text)
        else:
            protocols[number] = protocol
        key = (number, protocol, value.text)
        if key in seen:
            text = f'"{value.text}" is here twice for this port and protocol; remove one'
            yield value.fault("VAL009", text)
        seen.add(key)


def _check_value(match: Part) -> Faults:
    value, text = match["value"], match["value"].text
    kind = match["type"].value
    if kind == "CIDR" and not is_cidr(text):
        yield value.fault("VAL010", f'"{text[:60]}" is no range; write it like 192.0.2.0/24')
    elif kind == "IP" and not is_ip(text):
        yield value.fault("VAL010", f'"{text[:60]}" is no IP address; write it like 192.0.2.1')
    elif kind == "Domain":
        yield from _check_domain(match)


def _check_domain(match: Part) -> Faults:
    value, protocol = match["value"].text, _protocol(match)
    if protocol in ("tcp", "mysql"):
        text = f"{protocol} does not carry the name of a domain; use tls, http, http2 or grpc"
        yield match["protocol"].fault("VAL006", text)
    if value.startswith("*") and not match["port"] and protocol in HTTP_PROTOCOLS:
        text = f"port is missing; a wildcard domain needs one with {protocol}"
        yield match["port"].fault("VAL001", text)
    name = value.removeprefix("*.")
    if name.startswith("*") and value != "*" and not value.startswith("*."):
        text = f'"{value[:60]}": a "*" stands for whole labels; write *.example.com'
        yield match["value"].fault("VAL010", text)
    elif name.startswith("*"):
        text = f'"{value[:60]}" matches no domain; write *.example.com'
        yield match["value"].warning("VAL010", text)
    elif not is_dns_name(name):
        text = f'"{value[:60]}" is no domain; write it like api.example.com or *.example.com'
        yield match["value"].fault("VAL010", text)


def _protocol(match: Part) -> str:
    return match["protocol"].text if match["protocol"] else "tcp"


POLICY = PolicyRules(
    kind="MeshPassthrough",
    slug="mesh_passthrough",
    check=check,
    top_kinds=("Mesh", "Dataplane", "MeshSubset"),
    needs_list=False,
)
