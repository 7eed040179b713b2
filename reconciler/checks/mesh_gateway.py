"""MeshGateway: what the proxies of a gateway listen on."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from reconciler.checks.selectors import own_tags, service_sources
from reconciler.part import Part, not_empty, port, required

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

CERTIFICATES_MAX = 2  # one of RSA, one of ECDSA
HOSTNAME_MAX = 253
ANY_HOST = "*"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_HOSTNAME = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    conf = document["conf"]
    listeners = list(conf["listeners"].items())
    selectors = document["selectors"]
    yield from service_sources(selectors)
    if any(listener["crossMesh"].value for listener in listeners):
        for extra in list(selectors.items())[1:]:
            yield extra.fault("VAL011", "a gateway for other meshes has one selector; remove this")
    yield from own_tags(document["tags"])
    yield from required(conf, "write listeners into it")
    if conf:
        yield from not_empty(conf["listeners"], "write a listener with port and protocol")
    for listener in listeners:
        yield from _listener(listener)
    yield from _conflicts(listeners)


def _listener(listener: Part) -> Faults:
    hostname = listener["hostname"]
    if hostname.text not in ("", ANY_HOST):
        yield from _hostname(hostname)
    if listener["port"]:
        yield from port(listener["port"])
    else:
        yield from required(listener["port"], "write the port to listen on")
    yield from _protocol(listener)
    if listener["tls"]:
        yield from _tls(listener)
    yield from own_tags(listener["tags"])


def _hostname(hostname: Part) -> Faults:
    if len(hostname.text) > HOSTNAME_MAX:
        yield hostname.fault("VAL010", f"hostname has over {HOSTNAME_MAX} characters; shorten it")
    if not _HOSTNAME.fullmatch(hostname.text):
        text = f'"{hostname.text[:60]}" is no host; write a.example.com, *.example.com or "*"'
        yield hostname.fault("VAL010", text)


def _protocol(listener: Part) -> Faults:
    protocol, tls = listener["protocol"], listener["tls"]
    if protocol.value in (None, "NONE"):
        yield protocol.fault("VAL001", "protocol is missing; write one such as HTTP")
    if protocol.value != "HTTPS":
        return
    if listener["crossMesh"].value:
        yield protocol.fault("VAL011", "a listener for other meshes speaks no HTTPS; write HTTP")
    elif not tls:
        yield from required(tls, "write mode and certificates")
    elif tls["mode"].value == "PASSTHROUGH":
        text = "a listener that passes TLS through cannot speak HTTPS; write protocol: TLS"
        yield tls["mode"].fault("VAL011", text)


def _tls(listener: Part) -> Faults:
    tls = listener["tls"]
    mode, certificates = tls["mode"].value or "NONE", tls["certificates"]
    count = sum(1 for _ in certificates.items())
    if listener["crossMesh"].value:
        if mode != "NONE" or count:
            text = "a listener for other meshes takes the mesh's certificates; remove tls"
            yield tls.fault("VAL011", text)
    elif mode == "NONE":
        yield tls["mode"].fault("VAL001", "mode is missing; write TERMINATE or PASSTHROUGH")
    elif mode == "TERMINATE":
        yield from not_empty(certificates, "name the secret of a certificate and its key")
        if count > CERTIFICATES_MAX:
            text = f"certificates has {count} entries; leave one of RSA, one of ECDSA"
            yield certificates.fault("VAL003", text)


def _conflicts(listeners: list[Part]) -> Faults:
    """Between listeners of one port."""
    by_port: defaultdict[object, list[Part]] = defaultdict(list)
    for listener in listeners:
        by_port[listener["port"].value or 0].append(listener)
    for shared in by_port.values():
        yield from _between(shared)


def _between(shared: list[Part]) -> Faults:
    protocols = {listener["protocol"].value or "NONE" for listener in shared}
    hosts = [listener["hostname"].text or ANY_HOST for listener in shared]
    limits = [listener["resources"]["connectionLimit"] for listener in shared]
    given = [limit for limit in limits if limit.value]
    for listener, host in zip(shared, hosts, strict=True):
        if len(protocols) > 1:
            text = "listeners of one port have different protocols; give them ports of their own"
            yield listener.fault("VAL009", text)
        if hosts.count(host) > 1:
            text = f'host "{host}" is here a second time on this port; change host or port'
            yield listener.fault("VAL009", text)
    if len({limit.value for limit in given}) > 1:
        for limit in given:
            text = "listeners of one port have different limits; write the same for all"
            yield limit.fault("VAL009", text)
