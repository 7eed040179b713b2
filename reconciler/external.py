"""Services outside of the mesh, as its proxies reach them: addresses, TLS, and the secrets of that.
Pure.

Several resources of one service are its several endpoints. One whose secret is missing or cannot be
read is left out and told: neither plain text nor an unverified connection takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.ca.reading import certificates_fault, pair_fault
from reconciler.decode import mesh_resource
from reconciler.instances import without_service
from reconciler.match import service_of
from reconciler.mesh_ca import part_of
from reconciler.model.proxy_rules import is_ip
from reconciler.model.resource import PROTOCOL, ZONE, Labels, MeshResource, ResourceKey
from reconciler.model.spec import ExternalServiceSpec, MeshExternalServiceSpec
from reconciler.real import EXTERNAL, RealDestination, real_of
from reconciler.state import ResourceDiff, apply
from reconciler.topology import common_protocol
from xds.build.secrets import ca_secret, identity_secret
from xds.external import EXACT, ExternalEndpoint, ExternalTls
from xds.names import external_ca_secret_name, external_identity_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.model.spec import CaSource, ExternalTlsSpec, Tags
    from reconciler.state import MeshState
    from xds.resource import XdsResource
    from xds.view import Protocol

SYSTEM_CA = "system"  # stands for the file of a proxy's host with the CAs that it trusts
WITHHELD = b"withheld"  # stands for a secret's value where values are not at hand


@dataclass(frozen=True, slots=True)
class OutsideSecret:
    """The content of one SDS secret: a certificate with its key, or without one CAs."""

    name: str
    pem: bytes
    key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class External:
    """One service outside of the mesh. `offers`: the tags of each of its resources.

    Each endpoint has the zone by which alone it may be reached, or None.
    """

    name: str
    protocol: Protocol
    endpoints: tuple[ExternalEndpoint, ...] = ()
    offers: tuple[Tags, ...] = ()
    secrets: tuple[OutsideSecret, ...] = ()
    lacks: tuple[str, ...] = ()
    snis: tuple[str, ...] = ()  # of a MeshExternalService, by which it is asked for

    def within(self, zone: str) -> External:
        """What of it may be reached from this zone."""
        return self._only(tuple(e for e in self.endpoints if e.zone in (None, zone)))

    def subset(self, tags: Tags) -> External:
        """The endpoints that have all these tags; the service tag itself is implied."""
        wanted = set(without_service(tags))
        return self._only(tuple(e for e in self.endpoints if wanted <= set(e.tags)))

    def _only(self, kept: tuple[ExternalEndpoint, ...]) -> External:
        if len(kept) == len(self.endpoints):
            return self
        used = {n for e in kept if e.tls for n in (e.tls.ca_secret, e.tls.identity_secret)}
        secrets = tuple(s for s in self.secrets if s.name in used)
        return replace(self, endpoints=kept, secrets=secrets)


class _Lacking(Exception):
    """The text says what is missing, and where."""


def externals(state: MeshState, mesh: str) -> dict[str, External]:
    """By the name of the service."""
    found: dict[str, list[MeshResource]] = {}
    for resource in state.collection("ExternalService", mesh):
        if isinstance(resource.spec, ExternalServiceSpec):
            found.setdefault(service_of(resource.spec.tags), []).append(resource)
    return {name: _external(state, mesh, name, those) for name, those in found.items()}


def _external(
    state: MeshState, mesh: str, name: str, resources: Iterable[MeshResource]
) -> External:
    endpoints: list[ExternalEndpoint] = []
    secrets: list[OutsideSecret] = []
    lacks: list[str] = []
    offers: list[Tags] = []
    for resource in resources:
        spec = resource.spec
        assert isinstance(spec, ExternalServiceSpec)
        offers.append(spec.tags)
        try:
            tls, own = _tls(state, resource, spec)
        except _Lacking as missing:
            lacks.append(f"ExternalService {mesh}/{resource.display_name}: {missing}")
            continue
        secrets += own
        if spec.host:
            endpoints.append(_endpoint(resource, spec, tls))
    protocol = common_protocol(dict(tags).get(PROTOCOL, "tcp") for tags in offers)
    assert protocol is not None
    return External(name, protocol, tuple(endpoints), tuple(offers), tuple(secrets), tuple(lacks))


def _endpoint(
    resource: MeshResource, spec: ExternalServiceSpec, tls: ExternalTls | None
) -> ExternalEndpoint:
    tags = without_service(spec.tags)
    zone = dict(tags).get(ZONE)
    return ExternalEndpoint(spec.host, spec.port, tags, tls, resource.key.name, zone)


# --- MeshExternalService ---


def mesh_externals(state: MeshState, mesh: str, zone: str) -> dict[str, External]:
    """Those that may be reached from this zone, by the names of their destinations."""
    found: dict[str, External] = {}
    for resource in state.collection(EXTERNAL, mesh):
        real = real_of(resource)
        if real is not None and real.is_local(zone):
            made = _mesh_external(state, resource, real.names[0])
            found.setdefault(made.name, made)
    return found


def _mesh_external(state: MeshState, resource: MeshResource, name: str) -> External:
    """Endpoints of a lower priority are for when none of the ones before is well. Envoy counts
    priorities without a gap.
    """
    spec = resource.spec
    assert isinstance(spec, MeshExternalServiceSpec)
    order = sorted({priority for _, _, priority in spec.endpoints})
    endpoints: list[ExternalEndpoint] = []
    secrets: dict[str, OutsideSecret] = {}
    lacks: tuple[str, ...] = ()
    for index, (address, port, priority) in enumerate(spec.endpoints):
        tls = None
        try:
            if spec.tls is not None:
                tls, own = outside_tls(state, (resource.key.mesh, name), spec.tls, address)
                secrets |= {secret.name: secret for secret in own}
        except _Lacking as missing:  # What they have in common: then all of them do.
            lacks = (f"{EXTERNAL} {resource.key.mesh}/{resource.display_name}: {missing}",)
            continue
        at = order.index(priority)
        known_as, place = f"{name}:{index}", f"priority-{priority}"
        endpoints.append(
            ExternalEndpoint(address, port, (), tls, known_as, None, place, priority=at)
        )
    real, protocol = real_of(resource), common_protocol((spec.protocol,))
    assert real is not None
    assert protocol is not None
    to = RealDestination(real, real.ports[0], ())
    snis = sorted(filter(None, (to.hash_sni, to.kri_sni)))
    kept = tuple(secrets.values())
    return External(name, protocol, tuple(endpoints), (), kept, lacks, tuple(snis))


# --- TLS ---


def _tls(
    state: MeshState, resource: MeshResource, spec: ExternalServiceSpec
) -> tuple[ExternalTls | None, tuple[OutsideSecret, ...]]:
    if spec.tls is None:
        return None, ()
    return outside_tls(state, (resource.key.mesh, resource.key.name), spec.tls, spec.host)


def outside_tls(
    state: MeshState, whose: tuple[str, str], spec: ExternalTlsSpec, host: str
) -> tuple[ExternalTls, tuple[OutsideSecret, ...]]:
    """Raises _Lacking. As Kuma: without a CA nobody is verified, and a certificate without its key
    is none. `whose`: the mesh, and a name by which its secrets are told from others.
    """
    mesh, name = whose
    secrets: list[OutsideSecret] = []
    if spec.ca is not None:
        pem = _read(state, mesh, "caCert", spec.ca)
        _readable("caCert", certificates_fault(pem) if pem != WITHHELD else "")
        secrets.append(OutsideSecret(external_ca_secret_name(mesh, name), pem))
    if spec.cert is not None and spec.key is not None:
        pem = _read(state, mesh, "clientCert", spec.cert)
        private = _read(state, mesh, "clientKey", spec.key)
        _readable("clientCert", pair_fault(pem, private) if WITHHELD not in (pem, private) else "")
        identity = external_identity_secret_name(mesh, name)
        secrets.append(OutsideSecret(identity, pem, private))
    verified = spec.ca is not None or spec.system_ca
    asked = spec.server_name or host
    tls = ExternalTls(
        sni=spec.server_name or ("" if is_ip(host) else host),
        ca_secret=next((s.name for s in secrets if not s.key), ""),
        ca_file=SYSTEM_CA if spec.ca is None and spec.system_ca else "",
        sans=((EXACT, asked), *spec.sans) if verified and not spec.any_name else (),
        identity_secret=next((s.name for s in secrets if s.key), ""),
        allow_renegotiation=spec.allow_renegotiation,
        least=spec.least,
        most=spec.most,
    )
    return tls, tuple(secrets)


def _read(state: MeshState, mesh: str, part: str, source: CaSource) -> bytes:
    found = part_of(state, mesh, source)
    if found:
        return found
    if source.secret:
        raise _Lacking(f'{part} is in secret "{source.secret}", which is not here')
    raise _Lacking(f"{part} is nothing that a zone reads; write secret, inline or inlineString")


def _readable(part: str, fault: str) -> None:
    if fault:
        raise _Lacking(f"{part}: {fault}")


# --- secrets ---


@lru_cache(maxsize=1024)
def body(secret: OutsideSecret) -> XdsResource:
    """The same object as long as the content is the same."""
    if secret.key:
        return identity_secret(secret.name, secret.pem, secret.key)
    return ca_secret(secret.name, secret.pem)


def bodies(secrets: Iterable[OutsideSecret]) -> dict[str, XdsResource]:
    return {secret.name: body(secret) for secret in secrets}


def with_placeholders(state: MeshState) -> MeshState:
    """For who computes without the values of secrets: each that is named stands for itself."""
    found = {
        key: mesh_resource(key, Labels(), {"data": "d2l0aGhlbGQ="})
        for service in (*state.of("ExternalService"), *state.of(EXTERNAL))
        if isinstance(service.spec, ExternalServiceSpec | MeshExternalServiceSpec)
        for key in _named(service.key.mesh, service.spec)
        if state.get(key) is None
    }
    return apply(state, ResourceDiff(tuple(found[key] for key in sorted(found))))


def _named(mesh: str, spec: ExternalServiceSpec | MeshExternalServiceSpec) -> Iterator[ResourceKey]:
    tls = spec.tls
    for source in (tls.ca, tls.cert, tls.key) if tls is not None else ():
        if source is not None and source.secret:
            yield ResourceKey("Secret", mesh, source.secret)


def followed(before: Mapping[str, External], after: dict[str, External]) -> Mapping[str, External]:
    """With all that is equal as the same objects."""
    kept = {
        name: before[name] if before.get(name) == found else found for name, found in after.items()
    }
    same = kept.keys() == before.keys() and all(kept[name] is before[name] for name in kept)
    return before if same else kept
