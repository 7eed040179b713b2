"""MeshExternalService: a destination outside of the mesh that has a name inside of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.addresses import is_dns_name, is_ip
from reconciler.part import Part, not_empty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

VERSIONS = ("TLS10", "TLS11", "TLS12", "TLS13")  # TLSAuto is Envoy's choice


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    if document["extension"]:
        # What the extension takes, it looks at itself.
        yield from not_empty(document["extension"]["type"], "write the name of the extension")
        return
    for endpoint in document["endpoints"].items():
        address = endpoint["address"]
        if not is_ip(address.text) and not is_dns_name(address.text):
            text = f'"{address.text[:60]}" is no address; write a host name or an IP'
            yield address.fault("VAL010", text)
    if not document["endpoints"].value:
        text = "endpoints is missing; nobody can call the service before there is one"
        yield document["endpoints"].warning("VAL001", text)
    yield from _check_versions(document["tls"]["version"])
    yield from _check_verification(document["tls"]["verification"])


def _check_versions(version: Part) -> Faults:
    least, most = version["min"].text, version["max"].text
    if least in VERSIONS and most in VERSIONS and VERSIONS.index(least) > VERSIONS.index(most):
        yield version["min"].fault("VAL003", f"min is {least}, newer than max; make it older")


def _check_verification(verification: Part) -> Faults:
    server = verification["serverName"]
    if server and not is_dns_name(server.text):
        text = f'"{server.text[:60]}" is no host name; write it like api.example.com'
        yield server.fault("VAL010", text)
    for one, other in (("clientCert", "clientKey"), ("clientKey", "clientCert")):
        if verification[one] and not verification[other]:
            text = f"{other} is missing; {one} is of no use without it"
            yield verification[other].fault("VAL001", text)
    for name in ("caCert", "clientCert", "clientKey"):
        source = verification[name]
        if source and not source.given("secret", "inline", "inlineString"):
            yield source.warning("VAL008", f"{name} is empty; write secret, inline or inlineString")
